"""Makes hessian_free.json: reference iterates of conjugate gradients and of Hessian-free.

Run `python hessian_free.py`: it prints its checks and writes hessian_free.json beside itself. It
needs NumPy and SciPy on x86-64; the versions used are in the file's "made_by".

Conjugate gradients are SciPy's, and the solutions NumPy's. Hessian-free is a transcription of
Martens, "Deep learning via Hessian-free optimization" (2010), in plain NumPy, with what the paper
leaves open as two codes that others trained networks with do it: N. Boulanger-Lewandowski's
(rule for rho with the undamped model; line search with .01, .8 and 60; 5e-4) and D. Rasmussen's
(decay .95 of the warm start; rho with the damped model, here a case of its own).

Each trajectory is computed twice, in float64 and in 80-bit arithmetic. What is written is the
latter; "rounding" is how far the former strayed, for each quantity, which is what another order of
operations in float64 may cost. The script stops, and writes nothing, unless both take the same
decisions, the rounding is small, and all branches but those of failure were taken by some case.
"""

import json
import math
import platform
from collections import Counter
from pathlib import Path

import numpy as np
import scipy
from scipy.sparse.linalg import LinearOperator, cg as scipy_cg

BRANCHES = Counter()


# ---- the problems: loss, gradient, mean squared per-sample gradient, Gauss-Newton matrix


class Squares:
    """f = sum of squared residuals, as of a single sample."""

    def value(self, x):
        return np.sum(self.residuals(x)[0] ** 2)

    def derivatives(self, x):
        r, J = self.residuals(x)
        g = 2 * J.T @ r
        return r @ r, g, g * g, 2 * J.T @ J


class Rosenbrock(Squares):
    def residuals(self, p):
        x, y = p
        r = np.array([1 - x, 10 * (y - x * x)])
        J = np.array([[-1 + 0 * x, 0 * x], [-20 * x, 10 + 0 * x]])
        return r, J


class Beale(Squares):
    def residuals(self, p):
        x, y = p
        c = [p.dtype.type(v) for v in (1.5, 2.25, 2.625)]
        r = np.array([c[n] - x * (1 - y ** (n + 1)) for n in range(3)])
        J = np.array([[y ** (n + 1) - 1, (n + 1) * x * y**n] for n in range(3)])
        return r, J


class Tanh:
    """f = mean over samples n of (tanh(a_n . x) - t_n)^2 / 2."""

    def __init__(self, A, t):
        self.A, self.t = A, t

    def value(self, x):
        A, t = self.A.astype(x.dtype), self.t.astype(x.dtype)
        return np.mean((np.tanh(A @ x) - t) ** 2) / 2

    def derivatives(self, x):
        A, t = self.A.astype(x.dtype), self.t.astype(x.dtype)
        h = np.tanh(A @ x)
        J = (1 - h * h)[:, None] * A
        per_sample = (h - t)[:, None] * J
        f = np.mean((h - t) ** 2) / 2
        return f, per_sample.mean(0), (per_sample**2).mean(0), J.T @ J / len(t)


# ---- the method


def conjugate_gradients(B, b, x, M, epsilon, cap):
    """The paper's algorithm 2 on B x = b, with its stopping rule.

    Gives all iterates and the values of phi. Beyond the paper: ends at |r| <= 1e-10 |b|, where
    two-dimensional problems would go on in rounding errors.
    """
    phi = lambda x: x @ (B @ x) / 2 - b @ x
    xs, phis = [x], [phi(x)]
    r = b - B @ x
    y = r / M
    p = y
    i = 0
    while i < cap and np.sqrt(r @ r) > 1e-10 * np.sqrt(b @ b):
        i += 1
        Bp = B @ p
        alpha = (r @ y) / (p @ Bp)
        x = x + alpha * p
        r_next = r - alpha * Bp
        y_next = r_next / M
        beta = (r_next @ y_next) / (r @ y)
        p = y_next + beta * p
        r, y = r_next, y_next
        xs.append(x)
        phis.append(phi(x))
        k = max(10, math.ceil(i / 10))
        if i > k and phis[i] < 0 and (phis[i] - phis[i - k]) / phis[i] < k * epsilon:
            BRANCHES["cg: progress"] += 1
            return xs, phis
    BRANCHES["cg: cap" if i == cap else "cg: residual"] += 1
    return xs, phis


def kept(last):
    """Numbers of the iterates that are kept, the last one among them, in order."""
    return sorted({k for j in range(60) if (k := math.ceil(1.3**j)) < last} | {last})


def hessian_free(problem, x, steps, damping, warm_start=0.95, cg_iterations=250,
                 cg_tolerance=5e-4, preconditioner=0.75, damped_ratio=False):
    lam = x.dtype.type(damping)
    direction = np.zeros_like(x)
    rows = []
    for _ in range(steps):
        f, g, square, G = problem.derivatives(x)
        row = {"lambda": lam, "f": f, "gradient": np.sqrt(g @ g)}
        B = G + lam * np.eye(len(x), dtype=x.dtype)
        M = (square + lam) ** x.dtype.type(preconditioner)
        start = x.dtype.type(warm_start) * direction
        xs, phis = conjugate_gradients(B, -g, start, M, cg_tolerance, cg_iterations)
        last = len(xs) - 1
        direction = xs[-1]

        # CG backtracking: from the last kept iterate back, while f falls.
        numbers = kept(last)
        at = numbers.pop()
        best = problem.value(x + xs[at])
        while numbers:
            trial = problem.value(x + xs[numbers[-1]])
            if not trial < best:
                BRANCHES["backtracking: stopped"] += 1
                break
            BRANCHES["backtracking: went back"] += 1
            at, best = numbers.pop(), trial
        d = xs[at]

        q = g @ d + d @ (B @ d if damped_ratio else G @ d) / 2
        rho = (best - f) / q

        # Final line search.
        c = x.dtype.type(1)
        for _ in range(60):
            if best <= f + x.dtype.type(0.01) * c * (g @ d):
                break
            c = x.dtype.type(0.8) * c
            best = problem.value(x + c * d)
            BRANCHES["line search: shortened"] += 1
        else:
            c = x.dtype.type(0)

        if rho < 0.25 or c == 0:
            lam = lam * 3 / 2
            BRANCHES["lambda: rises"] += 1
        elif rho > 0.75:
            lam = lam * 2 / 3
            BRANCHES["lambda: falls"] += 1
        else:
            BRANCHES["lambda: stays"] += 1
        x = x + c * d
        rows.append(row | {"iterations": last, "chosen": at, "rho": rho, "rate": c, "x": x})
    return rows


# ---- the cases


def random_tanh(seed, samples, n, spread):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((samples, n)) * np.logspace(0, -spread, n)
    t = np.tanh(A @ (rng.standard_normal(n) * np.logspace(0, spread, n)))
    return A, t + 0.1 * rng.standard_normal(samples)


def both(name, problem, start, steps, **hyper):
    def run(dtype):
        return hessian_free(problem, np.array(start, dtype), steps, **hyper)

    # Until the gradient is that small, which is far above rounding.
    double, extended = run(np.float64), run(np.longdouble)
    small = next((k for k, row in enumerate(extended) if row["gradient"] <= 1e-6), None)
    double, extended = double[:small], extended[:small]
    rounding = {}
    for a, b in zip(double, extended):
        for decision in ("iterations", "chosen"):
            assert a[decision] == b[decision], (name, decision, a[decision], b[decision])
        for quantity in ("f", "lambda", "rho", "rate", "x"):
            # Relative to the quantity, of x to its norm; of f to the start's, as near a minimum
            # of 0 it is a square of differences.
            scale = extended[0]["f"] if quantity == "f" else np.linalg.norm(b[quantity])
            error = float(np.linalg.norm(a[quantity] - b[quantity]) / scale)
            rounding[quantity] = max(rounding.get(quantity, 0.0), error)
    assert rounding["x"] < 1e-9 and rounding["rho"] < 1e-6, (name, rounding)
    counts = [row["iterations"] for row in extended]
    print(f"{name:12} {hyper} |g| <= 1e-6 after {small} steps, {sum(counts)} CG iterations, at "
          f"most {max(counts)}; rates {sorted({float(r['rate']) for r in extended})}; {rounding}")
    plain = lambda v: [float(u) for u in v] if isinstance(v, np.ndarray) else (
        v if isinstance(v, int) else float(v))
    rows = [{k: plain(v) for k, v in row.items()} for row in extended]
    return {"problem": name, "hyper": hyper, "start": start, "rounding": rounding, "steps": rows}


def cg_case(seed, n, condition, warm):
    """B = Q diag(spectrum) Q', with SciPy's iterates and NumPy's solution."""
    rng = np.random.default_rng(seed)
    Q, _ = np.linalg.qr(rng.standard_normal((n, n)))
    B = (Q * np.logspace(0, math.log10(condition), n)) @ Q.T
    B = (B + B.T) / 2
    b = rng.standard_normal(n)
    M = np.diag(B) ** 0.75
    start = rng.standard_normal(n) if warm else np.zeros(n)
    iterates = []
    inverse = LinearOperator((n, n), matvec=lambda v: v / M)
    scipy_cg(B, b, start, rtol=0, atol=0, maxiter=n - 2, M=inverse,
             callback=lambda x: iterates.append(x.tolist()))
    assert len(iterates) == n - 2
    return {"matrix": B.tolist(), "b": b.tolist(), "diagonal": M.tolist(), "condition": condition,
            "start": start.tolist(), "iterates": iterates,
            "solution": np.linalg.solve(B, b).tolist()}


def main():
    A, t = random_tanh(1, 120, 30, 0.7)
    tanh, origin = Tanh(A, t), [0.0] * 30
    # With less damping conjugate gradients take more iterations, which amplify rounding errors:
    # where two close candidates of the backtracking then change places, no order of operations is
    # the right one. These stay clear of that for the number of steps given.
    cases = [
        both("rosenbrock", Rosenbrock(), [-1.2, 1.0], 30, damping=1.0),
        both("rosenbrock", Rosenbrock(), [-1.2, 1.0], 30, damping=0.01, warm_start=0.0),
        both("beale", Beale(), [1.0, 1.0], 20, damping=1.0),
        both("tanh", tanh, origin, 12, damping=0.1),
        both("tanh", tanh, origin, 12, damping=0.1, damped_ratio=True),
        both("tanh", tanh, origin, 11, damping=0.03),
        both("tanh", tanh, origin, 11, damping=0.03, preconditioner=0.0),
        both("tanh", tanh, origin, 12, damping=0.01, cg_iterations=7),
        both("tanh", tanh, origin, 9, damping=0.1, cg_tolerance=1e-5, warm_start=0.0),
    ]
    print(dict(BRANCHES))
    for branch in ("cg: progress", "cg: cap", "cg: residual", "backtracking: stopped",
                   "backtracking: went back", "line search: shortened", "lambda: rises",
                   "lambda: stays", "lambda: falls"):
        assert BRANCHES[branch], branch
    made_by = {"python": platform.python_version(), "numpy": np.__version__,
               "scipy": scipy.__version__, "machine": platform.machine()}
    everything = {"made_by": made_by, "tanh": {"inputs": A.tolist(), "targets": t.tolist()},
                  "cases": cases,
                  "cg": [cg_case(2, 12, 100.0, False), cg_case(3, 12, 100.0, True)]}
    Path(__file__).with_suffix(".json").write_text(json.dumps(everything) + "\n")


if __name__ == "__main__":
    main()
