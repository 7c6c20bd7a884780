"""Makes lbfgs.json: what SciPy finds where the Rust tests search and minimize.

Run `python lbfgs.py`: it prints its checks and writes lbfgs.json beside itself. It needs NumPy and
SciPy; the versions used are in the file's "made_by".

  "searches"      every trial step of SciPy's port of MINPACK-2's dcsrch, on the six functions of
                  Moré & Thuente (1994), section 5, and with a bound on the step.
  "trajectories"  L-BFGS with that line search, where H is multiplied out as a matrix from the
                  formula of its update: it shares no code and no recursion with the Rust one.
  "minima"        SciPy's L-BFGS-B: the value it ends at, and what it took.

The script stops, and writes nothing, unless a trajectory in which every step is perturbed by some
1e-15 stays within 1e-10: else an equally right implementation might differ by more than the 1e-9 that
the tests allow. (Rosenbrock's valley is that unstable: some steps later the limit is passed.)
"""

import gzip
import json
import platform
from pathlib import Path

import numpy as np
import scipy
from scipy.optimize import minimize
from scipy.optimize._dcsrch import DCSRCH

HERE = Path(__file__).parent


# --- Line searches


def rational(b):
    return (lambda a: -a / (a * a + b)), (lambda a: (a * a - b) / (a * a + b) ** 2)


def quintic(b):
    return (lambda a: (a + b) ** 5 - 2 * (a + b) ** 4), (lambda a: 5 * (a + b) ** 4 - 8 * (a + b) ** 3)


def wavy(b, waves):
    def value(a):
        if a <= 1 - b:
            base = 1 - a
        elif a >= 1 + b:
            base = a - 1
        else:
            base = (a - 1) ** 2 / (2 * b) + b / 2
        return base + 2 * (1 - b) / (waves * np.pi) * np.sin(waves * np.pi / 2 * a)

    def slope(a):
        base = -1 if a <= 1 - b else 1 if a >= 1 + b else (a - 1) / b
        return base + (1 - b) * np.cos(waves * np.pi / 2 * a)

    return value, slope


def roots(b1, b2):
    def weight(b):
        return np.sqrt(1 + b * b) - b

    def value(a):
        return weight(b1) * np.sqrt((1 - a) ** 2 + b2**2) + weight(b2) * np.sqrt(a * a + b1**2)

    def slope(a):
        left = weight(b1) * (a - 1) / np.sqrt((1 - a) ** 2 + b2**2)
        return left + weight(b2) * a / np.sqrt(a * a + b1**2)

    return value, slope


# The paper's functions by number, with its mu (c1) and eta (c2).
FUNCTIONS = {
    1: (rational(2.0), 0.001, 0.1),
    2: (quintic(0.004), 0.1, 0.1),
    3: (wavy(0.01, 39), 0.1, 0.1),
    4: (roots(0.001, 0.001), 0.001, 0.001),
    5: (roots(0.01, 0.001), 0.001, 0.001),
    6: (roots(0.001, 0.01), 0.001, 0.001),
}


def search(number, first, max_step=1e20):
    (value, slope), c1, c2 = FUNCTIONS[number]
    steps = []

    def recorded(a):
        steps.append(float(a))
        return value(a)

    finder = DCSRCH(recorded, slope, c1, c2, 1e-10, 0.0, max_step)
    _, _, _, task = finder(first, value(0.0), slope(0.0))
    print(f"function {number} from {first:g}: {len(steps)} trials, step {steps[-1]:.6g}, {task.decode()}")
    return {
        "function": number,
        "c1": c1,
        "c2": c2,
        "first": first,
        "max_step": max_step,
        "steps": steps,
        "converged": task[:4] == b"CONV",
    }


# --- Problems, each as x -> (f, f')


def rosenbrock(x):
    r = x[1] - x[0] ** 2
    f = (1 - x[0]) ** 2 + 100 * r * r
    return f, np.array([-2 * (1 - x[0]) - 400 * x[0] * r, 200 * r])


def beale(x):
    n, c = np.arange(1, 4), np.array([1.5, 2.25, 2.625])
    r = c - x[0] * (1 - x[1] ** n)
    return r @ r, np.array([2 * r @ (x[1] ** n - 1), 2 * r @ (x[0] * n * x[1] ** (n - 1))])


def quadratic(x):
    """Curvatures 1, 4, 9 ... 64 about the minimum 1, 2, 3, 1, 2, 3, 1, 2."""
    offset = x - 1.0 - np.arange(8) % 3
    g = np.arange(1.0, 9.0) ** 2 * offset
    return 0.5 * offset @ g, g


def digits():
    """Softmax regression on the 8x8 digits: W of shape (10, 64), row by row, then b."""
    path = HERE.parents[2] / "opt-data" / "data" / "digits.csv.gz"
    table = np.loadtxt(gzip.open(path, "rt"), delimiter=",")
    inputs, labels = table[:, :-1] / 16, table[:, -1].astype(int)
    rows, l2 = np.arange(len(labels)), 1e-2

    def objective(x):
        w, b = x[:640].reshape(10, 64), x[640:]
        z = inputs @ w.T + b
        z -= z.max(axis=1, keepdims=True)
        log_sum = np.log(np.exp(z).sum(axis=1))
        f = np.mean(log_sum - z[rows, labels]) + 0.5 * l2 * np.sum(w * w)
        delta = np.exp(z - log_sum[:, None])
        delta[rows, labels] -= 1
        delta /= len(labels)
        return f, np.concatenate([(delta.T @ inputs + l2 * w).ravel(), delta.sum(axis=0)])

    return objective


# --- L-BFGS by its definition


def trajectory(objective, x, memory, steps, c2=0.9, noise=None):
    """Points after every step, and the number of evaluations until then."""
    x = np.array(x, float)
    f, g = objective(x)
    pairs, points, count = [], [x], [1]
    for _ in range(steps):
        h = np.eye(len(x))
        if pairs:
            s, y = pairs[-1]
            h *= (s @ y) / (y @ y)
        for s, y in pairs:
            rho = 1 / (s @ y)
            v = np.eye(len(x)) - rho * np.outer(y, s)
            h = v.T @ h @ v + rho * np.outer(s, s)
        p = -h @ g
        lengths = [np.linalg.norm(x), 2 * abs(f) / np.linalg.norm(g)]
        move = min([length for length in lengths if length > 0], default=1.0)
        first = 1.0 if pairs else move / np.linalg.norm(g)
        calls = []

        def phi(a):
            calls.append(a)
            return objective(x + a * p)[0]

        finder = DCSRCH(phi, lambda a: objective(x + a * p)[1] @ p, 1e-4, c2, 1e-10, 0.0, 1e20)
        a, _, _, task = finder(first, f, g @ p)
        assert task[:4] == b"CONV", task
        new = x + a * p
        if noise is not None:
            new = new * (1 + 1e-15 * noise.choice([-1, 1], len(x)))
        f_new, g_new = objective(new)
        pairs = [*pairs, (new - x, g_new - g)][-memory:]
        x, f, g = new, f_new, g_new
        points.append(x)
        count.append(count[-1] + len(calls))
    return np.array(points), count


def checked_trajectory(name, objective, start, memory, steps):
    points, count = trajectory(objective, start, memory, steps)
    worst = 0.0
    for seed in range(20):
        other, _ = trajectory(objective, start, memory, steps, noise=np.random.default_rng(seed))
        worst = max(worst, float(np.max(np.abs(other - points) / np.maximum(np.abs(points), 1e-3))))
    f, g = objective(points[-1])
    print(
        f"{name} {start} m={memory}: {steps} steps, {count[-1]} evaluations, |g| = {np.linalg.norm(g):.1e},"
        f" perturbed by {worst:.1e}"
    )
    assert worst < 1e-10
    return {
        "name": name,
        "start": list(start),
        "memory": memory,
        "points": points.tolist(),
        "evaluations": count,
    }


# --- SciPy's own L-BFGS-B


def gap(objective, x):
    """How far a convex f(x) may be above its minimum: |f'|^2 / (2 * least curvature), where the one
    direction that f is flat along, the shift of all b, does not count."""
    columns = [objective(x + 1e-5 * e)[1] - objective(x - 1e-5 * e)[1] for e in np.eye(len(x))]
    hessian = np.array(columns) / 2e-5
    curvatures = np.linalg.eigvalsh((hessian + hessian.T) / 2)
    print(f"least curvatures {curvatures[:3]}")
    assert abs(curvatures[0]) < 1e-8 < 1e-4 < curvatures[1]
    g = objective(x)[1]
    return g @ g / (2 * curvatures[1])


def minimum(name, objective, start, reached):
    """`reached(f, g)` tells when the tests count it as done."""
    evaluations, done = 0, None

    def counted(x):
        nonlocal evaluations
        evaluations += 1
        return objective(x)

    iterations = 0

    def watch(intermediate_result):
        nonlocal iterations, done
        iterations += 1
        if done is None and reached(*objective(intermediate_result.x)):
            done = iterations, evaluations

    options = {"maxcor": 10, "ftol": 0.0, "gtol": 1e-9, "maxiter": 10_000, "maxfun": 100_000}
    result = minimize(
        counted, np.array(start, float), jac=True, method="L-BFGS-B", callback=watch, options=options
    )
    f, g = objective(result.x)
    print(f"{name}: f = {f}, |g| = {np.linalg.norm(g):.1e}, done after {done}, {result.message}")
    return {
        "name": name,
        "start": [float(v) for v in start] if len(start) < 10 else None,
        "value": float(f),
        "iterations": done[0],
        "evaluations": done[1],
    }, result.x


def main():
    searches = [search(number, first) for number in FUNCTIONS for first in (1e-3, 1e-1, 1e1, 1e3)]
    searches += [search(1, 0.1, max_step=0.5), search(3, 1e-3, max_step=0.05)]

    def small(f, g):
        return np.linalg.norm(g) <= 1e-6

    planes = [
        ("rosenbrock", rosenbrock, (-1.2, 1.0)),
        ("beale", beale, (1.0, 1.0)),
        ("beale", beale, (1.0, 1.5)),
    ]
    trajectories = [
        checked_trajectory(name, objective, start, memory, steps)
        for name, objective, start in planes
        for memory, steps in ((10, 10), (2, 10))
    ]
    trajectories += [checked_trajectory("quadratic", quadratic, [0.0] * 8, m, 14) for m in (1, 3)]
    minima = [minimum(name, objective, start, small)[0] for name, objective, start in planes]
    objective, start = digits(), np.zeros(650)
    optimum, x = minimum("digits", objective, start, small)
    assert gap(objective, x) < 1e-12
    f = optimum["value"]
    minima.append(minimum("digits", objective, start, lambda now, _: now - f <= 1e-8 * f)[0])
    made_by = f"Python {platform.python_version()}, NumPy {np.__version__}, SciPy {scipy.__version__}"
    data = {"made_by": made_by, "searches": searches, "trajectories": trajectories, "minima": minima}
    text = json.dumps(data, indent=1)
    (HERE / "lbfgs.json").write_text(text + "\n")
    print(made_by, len(text))


main()
