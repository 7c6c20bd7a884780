"""Makes newton.json: Newton's iterates on Rosenbrock's function, with NumPy's solver.

Run `python newton.py`: it writes newton.json beside itself. It needs numpy.
"""

import json
from pathlib import Path

import numpy as np


def gradient(x):
    r = x[1] - x[0] ** 2
    return np.array([-2 * (1 - x[0]) - 400 * x[0] * r, 200 * r])


def hessian(x):
    return np.array(
        [[2 - 400 * (x[1] - 3 * x[0] ** 2), -400 * x[0]], [-400 * x[0], 200.0]]
    )


x = np.array([-1.2, 1.0])
iterates = [x.tolist()]
while np.linalg.norm(gradient(x)) > 1e-6:
    assert np.all(np.linalg.eigvalsh(hessian(x)) > 0)
    x = x - np.linalg.solve(hessian(x), gradient(x))
    iterates.append(x.tolist())
print(len(iterates) - 1, "iterations to", x)
text = json.dumps({"made_by": f"numpy {np.__version__}", "iterates": iterates}, indent=1)
Path(__file__).with_suffix(".json").write_text(text + "\n")
