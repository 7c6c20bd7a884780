"""Makes scg.json: reference trajectories of scaled conjugate gradients in float64.

Run `python scg.py`: it prints its checks and writes scg.json beside itself. It needs NumPy on
x86-64 (for its 80-bit long double), SciPy, and paramz, whose SCG is a port of Netlab's; the versions
used are in the file's "made_by".

`scg` below transcribes the listing of Moller (Neural Networks 6, 1993), steps 1 to 9, with the guards
that its docstring names. "rounding" is how much rounding errors have grown along a trajectory, also
through the difference quotient of step 2, and so by how much another float64 implementation may
differ: eight more float64 runs evaluate the problem at points that are off by up to an ulp, and the
one that is farthest from a run in 80-bit arithmetic counts. A trajectory ends where one of these
runs takes another branch.

Beside that, the file has minima by other methods: Newton's on the digits after L-BFGS-B, and
Netlab's form of SCG on the functions of two variables.
"""

import gzip
import json
import platform
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import numpy as np
import scipy.optimize
from paramz.optimization.scg import SCG as netlab

HERE = Path(__file__).parent
EPS = np.finfo(np.float64).eps
LEAST, CAP = 1e-20, 1e100  # of lambda, times the first curvature
seen = Counter()  # branches taken
GRADES = [(0.75, "good"), (0.5, "fair"), (0.25, "so-so"), (0, "poor")]  # of Delta


def scg(f, df, w, iterations, sigma=1e-4, lambda_1=1e-6, tolerance=0.0):
    """Yields (w, E(w), lambda, success) after each iteration.

    Other than in the paper, sigma is relative to the largest |w| so far (to |E|/|E'| where that is 0)
    and lambda_1 to the first curvature, so that neither has units. Guards that the paper lacks: lambda
    stays in [LEAST, CAP] times the first curvature; where rounding drowns the predicted decrease, and
    the loss is not above the least so far by more than that, Delta = 1; a direction that does not
    descend is replaced by the steepest descent.
    """
    N = len(w)
    lam_bar = 0.0
    E = least = f(w)
    r = -df(w)
    p = r
    reach = unit = lam = 0
    success, k = True, 1
    while True:
        pp = p @ p
        if success:  # 2
            reach = max(reach, np.sqrt(w @ w)) or abs(E) / np.sqrt(r @ r) or 1.0
            sigma_k = sigma * reach / np.sqrt(pp)
            s = (df(w + sigma_k * p) + r) / sigma_k
            delta = p @ s
        if k == 1:
            unit = abs(delta) / pp or np.sqrt(r @ r) / reach
            lam = lambda_1 * unit
        delta = delta + (lam - lam_bar) * pp  # 3
        if delta <= 0:  # 4
            seen["curvature made positive"] += 1
            lam_bar = min(2 * (lam - delta / pp), CAP * unit)
            delta = -delta + lam * pp
            lam = lam_bar
        mu = p @ r  # 5
        alpha = mu / delta
        E_new = f(w + alpha * p)  # 6
        Delta = 2 * delta * (E - E_new) / mu**2
        noise = 10 * EPS * abs(E)
        if mu**2 / (2 * delta) <= noise and E_new - least <= noise:
            seen["noise"] += 1
            Delta = 1.0
        if Delta >= 0:  # 7
            w, E = w + alpha * p, E_new
            least = min(least, E)
            r_new = -df(w)
            lam_bar, success = 0.0, True
            if k % N == 0:
                seen["restart"] += 1
                p = r_new
            else:
                beta = (r_new @ r_new - r_new @ r) / mu
                p = r_new + beta * p
                if p @ r_new <= 0:
                    seen["not a descent"] += 1
                    p = r_new
            r = r_new
            seen[next(word for least, word in GRADES if Delta >= least)] += 1
            if Delta >= 0.75:
                lam = max(lam / 4, LEAST * unit)
        else:
            seen["failure"] += 1
            lam_bar, success = lam, False
        if Delta < 0.25:  # 8
            lam = min(lam + delta * (1 - Delta) / pp, CAP * unit)
        yield w, E, lam, success
        if np.sqrt(r @ r) <= tolerance or k == iterations:  # 9
            return
        k += 1


def rosenbrock():
    def f(x):
        return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2

    def df(x):
        t = x[1] - x[0] ** 2
        return np.array([-2 * (1 - x[0]) - 400 * x[0] * t, 200 * t])

    return f, df, [-1.2, 1.0]


def rosenbrock_above():
    """From a start whose trajectory takes the branches that the usual one does not."""
    f, df, _ = rosenbrock()
    return f, df, [1.0, 2.0]


def beale():
    def parts(x):
        for n, c in ((1, "1.5"), (2, "2.25"), (3, "2.625")):
            c = x.dtype.type(c)
            yield n, c - x[0] * (1 - x[1] ** n)

    def f(x):
        return sum(r * r for _, r in parts(x))

    def df(x):
        g = np.zeros_like(x)
        for n, r in parts(x):
            g += 2 * r * np.array([x[1] ** n - 1, n * x[0] * x[1] ** (n - 1)])
        return g

    return f, df, [1.0, 1.0]


CURVATURE = [1.0, 10.0, 0.5, 3.0, 30.0]


def quadratic():
    """sum of a_i x_i^2 / 2 + x_i x_{i+1} / 4 - x_i"""
    a = np.array(CURVATURE)

    def df(x):
        padded = np.concatenate([[0], x, [0]]).astype(x.dtype)
        return a * x + (padded[2:] + padded[:-2]) / 4 - 1

    def f(x):
        return (df(x) - 1) @ x / 2

    return f, df, [1.0, -1.5, 2.0, 0.5, -1.0]


def wells():
    """x^2/2 + xy/4 - y^2/2 + y^4/4, which starts where it is concave along y."""

    def f(x):
        return x[0] ** 2 / 2 + x[0] * x[1] / 4 - x[1] ** 2 / 2 + x[1] ** 4 / 4

    def df(x):
        return np.array([x[0] + x[1] / 4, x[0] / 4 - x[1] + x[1] ** 3])

    return f, df, [-0.5, 0.25]


def softmax(inputs, labels, classes, l2):
    """Mean cross-entropy of inputs W^T + b, plus l2/2 sum W^2; x is W row by row, then b."""
    rows, features = inputs.shape
    one_hot = np.eye(classes)[labels]

    def split(x):
        w = x[: classes * features].reshape(classes, features)
        return w, x[classes * features :]

    def logits(x):
        w, b = split(x)
        z = inputs.astype(x.dtype) @ w.T + b
        return z - z.max(axis=1, keepdims=True)

    def f(x):
        z = logits(x)
        losses = np.log(np.exp(z).sum(axis=1)) - z[np.arange(rows), labels]
        return losses.mean() + l2 / 2 * (split(x)[0] ** 2).sum()

    def df(x):
        e = np.exp(logits(x))
        d = (e / e.sum(axis=1, keepdims=True) - one_hot) / x.dtype.type(rows)
        dw = d.T @ inputs.astype(x.dtype) + l2 * split(x)[0]
        return np.concatenate([dw.ravel(), d.sum(axis=0)])

    def hessian(x):
        e = np.exp(logits(x))
        p = e / e.sum(axis=1, keepdims=True)
        h = np.concatenate([inputs, np.ones((rows, 1))], axis=1)
        blocks = np.empty((classes, features + 1, classes, features + 1))
        for i in range(classes):
            for j in range(classes):
                weight = p[:, i] * ((i == j) - p[:, j]) / rows
                blocks[i, :, j, :] = (h * weight[:, None]).T @ h
                if i == j:
                    blocks[i, range(features), j, range(features)] += l2
        order = [i * (features + 1) + k for i in range(classes) for k in range(features)]
        order += [i * (features + 1) + features for i in range(classes)]
        size = classes * (features + 1)
        return blocks.reshape(size, size)[np.ix_(order, order)]

    return f, df, hessian


SMALL_LABELS = [0, 1, 2, 1, 0, 2, 2, 0]


def small_softmax():
    inputs = np.array([[np.sin(1.7 * i + 2.3 * j) for j in range(3)] for i in range(8)])
    f, df, _ = softmax(inputs, SMALL_LABELS, 3, 0.01)
    return f, df, [0.5 * float(np.cos(1.3 * i)) for i in range(12)]


def relative(a, b):
    a, b = np.atleast_1d(a), np.atleast_1d(b)
    return float(np.linalg.norm((a - b).astype(float)) / np.linalg.norm(b.astype(float)))


def off_by_an_ulp(function, seed):
    rng = np.random.default_rng(seed)
    return lambda x: function(x * (1 + EPS * rng.uniform(-1, 1, len(x))))


def trajectory(problem):
    f, df, start = problem()
    runs = [scg(f, df, np.array(start, dtype=dtype), 120, tolerance=1e-9) for dtype in (np.longdouble, float)]
    for seed in range(8):
        near = off_by_an_ulp(f, seed), off_by_an_ulp(df, seed)
        runs.append(scg(*near, np.array(start), 120, tolerance=1e-9))
    steps, rounding = [], 0.0
    for exact, *others in zip(*runs):
        distances = [relative(a, b) for other in others for a, b in zip(other[:3], exact[:3])]
        rounding = max(rounding, *distances)
        if rounding > 1e-6 or any(other[3] != exact[3] for other in others):
            break
        w, E, lam, success = others[0]
        steps.append({"x": w.tolist(), "loss": E, "lambda": lam, "success": success, "rounding": rounding})
    last = steps[-1]
    print(f"{problem.__name__}: {len(steps)} steps, rounding {last['rounding']:.0e}, at {last['x'][:2]}")
    return {"start": start, "steps": steps}


def by_netlab(problem):
    """Where Netlab's form ends, to |g|^2 <= 1e-12, and its iterations beside those of `scg`."""
    f, df, start = problem()
    x, log, _, _ = netlab(f, df, np.array(start), maxiters=1000, xtol=0, ftol=0, gtol=1e-12)
    ours = list(scg(f, df, np.array(start), 1000, tolerance=1e-6))
    assert np.linalg.norm(df(x)) <= 1e-6 and np.allclose(ours[-1][0], x, atol=1e-5)
    print(f"{problem.__name__}: Netlab {len(log) - 1} iterations, Moller {len(ours)}, minimum {x}")
    return {"minimum": x.tolist(), "netlab_iterations": len(log) - 1, "iterations": len(ours)}


def digits():
    """The least loss of L2-regularized softmax regression: L-BFGS-B, then Newton's method."""
    path = HERE / "../../../opt-data/data/digits.csv.gz"
    table = np.loadtxt(gzip.open(path, "rt"), delimiter=",")
    f, df, hessian = softmax(table[:, :64] / 16, table[:, 64].astype(int), 10, 1e-2)
    options = {"maxiter": 5000, "maxfun": 10000, "ftol": 0, "gtol": 1e-7}
    found = scipy.optimize.minimize(f, np.zeros(650), jac=df, method="L-BFGS-B", options=options)
    x = found.x
    for _ in range(5):
        # A shift of all biases changes nothing: least squares leaves that direction alone.
        x = x - np.linalg.lstsq(hessian(x), df(x), rcond=1e-12)[0]
    gradient = float(np.linalg.norm(df(x)))
    assert gradient < 1e-14 and abs(f(x) - found.fun) < 1e-9
    losses = [E for _, E, _, _ in scg(f, df, np.zeros(650), 2000, tolerance=1e-6)]
    iterations = 1 + next(i for i, E in enumerate(losses) if E - f(x) <= 1e-8 * f(x))
    print(f"digits: loss {f(x)}, |g| {gradient:.0e}, L-BFGS-B {found.fun}, SCG {iterations} iterations")
    return {"loss": f(x), "gradient_norm": gradient, "iterations": iterations}


def main():
    problems = [rosenbrock, rosenbrock_above, beale, quadratic, wells, small_softmax]
    trajectories = {problem.__name__: trajectory(problem) for problem in problems}
    print(dict(seen))
    missing = BRANCHES - set(seen)
    assert not missing, missing
    result = {
        "made_by": f"Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "paramz")),
        "trajectories": trajectories,
        "netlab": {problem.__name__: by_netlab(problem) for problem in (rosenbrock, beale)},
        "digits": digits(),
    }
    text = json.dumps(result, separators=(",", ":")).replace(',{"x"', ',\n{"x"')
    (HERE / "scg.json").write_text(text + "\n")


BRANCHES = {"curvature made positive", "noise", "restart", *(word for _, word in GRADES), "failure", "not a descent"}

if __name__ == "__main__":
    main()
