"""Makes minima.json: how often SciPy ends at a stationary point of three functions with many minima.

Run `python minima.py`: it prints its counts and writes minima.json beside itself. It needs NumPy and
SciPy; the versions used are in the file's "made_by".

The functions are those of the crate argmin_testfunctions, with its derivatives. At many of their
minima the value is large beside what curvature resolves, so that a decrease drowns in rounding long
before |f'| <= 1e-6, which is what counts as the end here. 100 starts each, uniform in the window that
the literature gives.
"""

import json
import platform
from pathlib import Path

import numpy as np
import scipy
from scipy.optimize import minimize


def goldstein_price(p):
    x, y = p
    s, d = x + y + 1, 2 * x - 3 * y
    a = 19 - 14 * x + 3 * x * x - 14 * y + 6 * x * y + 3 * y * y
    b = 18 - 32 * x + 12 * x * x + 48 * y - 36 * x * y + 27 * y * y
    left, right = 1 + s * s * a, 30 + d * d * b
    da = -14 + 6 * x + 6 * y  # along x and y alike
    left_x = left_y = 2 * s * a + s * s * da
    right_x = 4 * d * b + d * d * (-32 + 24 * x - 36 * y)
    right_y = -6 * d * b + d * d * (48 - 36 * x + 54 * y)
    return left * right, np.array([left_x * right + left * right_x, left_y * right + left * right_y])


def ackley(p):
    x, y = p
    c = 2 * np.pi
    r = np.sqrt((x * x + y * y) / 2)
    hill, waves = 20 * np.exp(-0.2 * r), np.exp((np.cos(c * x) + np.cos(c * y)) / 2)
    f = -hill - waves + 20 + np.e
    slope = 0.1 * hill / r if r > 0 else 0.0
    return f, np.array([slope * v + c / 2 * np.sin(c * v) * waves for v in (x, y)])


def levy_13(p):
    x, y = p
    c = 3 * np.pi
    sx, sy, s2 = np.sin(c * x), np.sin(c * y), np.sin(2 * np.pi * y)
    f = sx**2 + (x - 1) ** 2 * (1 + sy**2) + (y - 1) ** 2 * (1 + s2**2)
    gx = 2 * c * sx * np.cos(c * x) + 2 * (x - 1) * (1 + sy**2)
    gy = (x - 1) ** 2 * 2 * c * sy * np.cos(c * y) + 2 * (y - 1) * (1 + s2**2)
    gy += (y - 1) ** 2 * 4 * np.pi * s2 * np.cos(2 * np.pi * y)
    return f, np.array([gx, gy])


WINDOWS = [(goldstein_price, 2.0), (ackley, 32.768), (levy_13, 10.0)]


def run(objective, start, method, options):
    calls = 0

    def counted(x):
        nonlocal calls
        calls += 1
        return objective(x)

    found = minimize(counted, start, jac=True, method=method, options=options)
    return bool(np.linalg.norm(objective(found.x)[1]) <= 1e-6), calls


def main():
    rng = np.random.default_rng(13)
    methods = {
        "BFGS": {"gtol": 1e-6, "norm": 2, "maxiter": 2000},
        "L-BFGS-B": {"gtol": 1e-7, "ftol": 0.0, "maxiter": 2000, "maxfun": 20_000},
    }
    cases = []
    for objective, window in WINDOWS:
        starts = rng.uniform(-window, window, (100, 2))
        for x in starts[:5]:
            steps = 1e-6 * np.eye(2)
            slopes = [(objective(x + h)[0] - objective(x - h)[0]) / 2e-6 for h in steps]
            assert np.allclose(slopes, objective(x)[1], rtol=1e-5, atol=1e-5)
        reached = {}
        for method, options in methods.items():
            results = [run(objective, x, method, options) for x in starts]
            reached[method] = {"stationary": sum(r for r, _ in results), "calls": sum(c for _, c in results)}
        print(objective.__name__, reached)
        cases.append({"name": objective.__name__, "starts": starts.tolist(), "scipy": reached})
    made_by = f"Python {platform.python_version()}, NumPy {np.__version__}, SciPy {scipy.__version__}"
    text = json.dumps({"made_by": made_by, "cases": cases}).replace('{"name"', '\n{"name"')
    (Path(__file__).parent / "minima.json").write_text(text + "\n")


main()
