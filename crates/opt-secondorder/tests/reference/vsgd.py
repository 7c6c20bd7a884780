"""Makes vsgd.json: float64 trajectories of vSGD on a noisy linear regression.

Run `python vsgd.py`: it prints its checks and writes vsgd.json beside itself. It needs numpy.

The equations are those of Schaul, Zhang & LeCun (2013) and of Schaul & LeCun (2013), written
for one parameter, or one block, at a time. Loss of a sample: (a . x - b)^2 / 2; the minibatch
of step k is the next n samples of the file, from its beginning again after its end.

The script stops, and writes nothing, unless 80-bit arithmetic gives the same to 1e-11 (then
another order of operations stays within 1e-10), and outliers of both kinds have occurred.
"""

import json
from collections import Counter
from pathlib import Path

import numpy as np

SAMPLES = 120
STEPS = 60
EVERY = 6
SEGMENTS = [("w", 3), ("u", 2), ("b", 1)]
START = [0.5, -1.0, 2.0, 0.0, 1.0, -0.5]
D = len(START)
HYPER = {"slow_start": 3.0, "warmup": 4.0, "outlier": 2.0, "eps": 1e-9}

rng = np.random.default_rng(20130116)
A = rng.normal(size=(SAMPLES, D)) * [1.0, 0.3, 2.0, 1.0, 0.5, 1.0]
A[:, -1] = 1.0
B = A @ [1.0, 2.0, -1.0, 0.5, -2.0, 0.25] + 0.5 * rng.normal(size=SAMPLES)


def blocks(form):
    if form == "local":
        return [[i] for i in range(D)]
    if form == "global":
        return [list(range(D))]
    ends = np.cumsum([size for _, size in SEGMENTS])
    return [list(range(end - size, end)) for end, (_, size) in zip(ends, SEGMENTS)]


def run(form, curvature, n, hyper, real, seen):
    a_all, b_all = A.astype(real), B.astype(real)
    fd = curvature == "fd"
    c, n0, s, eps = (hyper[k] for k in ("slow_start", "warmup", "outlier", "eps"))
    n0 = int(n0)
    x = np.array(START, dtype=real)
    g_bar, v_bar, h_bar, vh_bar = (np.zeros(D, dtype=real) for _ in range(4))
    groups = blocks(form)
    tau = [real(0)] * len(groups)
    eta = [real(0)] * len(groups)
    records = []
    for k in range(STEPS):
        rows = [(k * n + j) % SAMPLES for j in range(n)]
        a, b = a_all[rows], b_all[rows]

        def gradients(at):
            return (a @ at - b)[:, None] * a

        g = gradients(x).sum(axis=0) / n
        v = (gradients(x) ** 2).sum(axis=0) / n
        if fd:
            # There is no average yet in the first step: the one that this minibatch is part of.
            shift = (g_bar * k + g) / (k + 1) if k < n0 else g_bar
            h = abs((gradients(x + shift).sum(axis=0) / n - g) / shift)
        else:
            h = (a * a).sum(axis=0) / n

        if k < n0:
            g_bar = (g_bar * k + g) / (k + 1)
            v_bar = (v_bar * k + v) / (k + 1)
            h_bar = (h_bar * k + h) / (k + 1)
            vh_bar = (vh_bar * k + h * h) / (k + 1)
            if k + 1 == n0:
                v_bar, h_bar, vh_bar = c * v_bar, c * h_bar, c * c * vh_bar
                tau = [real(n0 + 1)] * len(groups)
            continue

        for at, group in enumerate(groups):
            i = np.array(group)
            # An outlier?
            far_g = ((g[i] - g_bar[i]) ** 2).sum()
            far_h = ((h[i] - h_bar[i]) ** 2).sum()
            noise_g = (v_bar[i] - g_bar[i] ** 2).sum() / n
            noise_h = (vh_bar[i] - h_bar[i] ** 2).sum()
            out_g = s > 0 and far_g > s**2 * max(noise_g, 0)
            out_h = s > 0 and fd and far_h > s**2 * max(noise_h, 0)
            seen[form, curvature, n, "gradient"] += out_g
            seen[form, curvature, n, "curvature"] += out_h and not out_g
            seen[form, curvature, n, "none"] += not out_g and not out_h
            if out_g or out_h:
                tau[at] = tau[at] + 1
            # Averages.
            keep, add = 1 - 1 / tau[at], 1 / tau[at]
            g_bar[i] = keep * g_bar[i] + add * g[i]
            v_bar[i] = keep * v_bar[i] + add * v[i]
            h_bar[i] = keep * h_bar[i] + add * h[i]
            vh_bar[i] = keep * vh_bar[i] + add * h[i] ** 2
            # Rates.
            g2, vs = (g_bar[i] ** 2).sum(), v_bar[i].sum()
            p = g2 / (vs / n + (n - 1) * g2 / n)
            assert 0 <= p <= 1
            if fd:
                eta[at] = p / (vh_bar[i] / h_bar[i]).max()
            else:
                eta[at] = p / h_bar[i].max()
            # Memory, and the step.
            tau[at] = (1 - p) * tau[at] + 1
            x[i] = x[i] - eta[at] * g[i]
        if (k + 1) % EVERY == 0:
            records.append((k + 1, x.copy(), list(eta), list(tau)))
    return records


def main():
    seen = Counter()
    cases = []
    for form in ["local", "block", "global"]:
        for curvature in ["bbprop", "fd"]:
            for n in [1, 5]:
                for outlier in [2.0, 0.0]:
                    hyper = {**HYPER, "outlier": outlier}
                    short, long = (
                        run(form, curvature, n, hyper, real, seen)
                        for real in (np.float64, np.longdouble)
                    )
                    worst = max(
                        np.max(np.abs(np.asarray(p) - np.asarray(q)) / np.maximum(np.abs(q), 1e-3))
                        for one, other in zip(short, long)
                        for p, q in zip(one[1:], other[1:])
                    )
                    print(f"{form:7}{curvature:7} n = {n}, s = {outlier}: {float(worst):.1e}")
                    assert worst < 1e-11
                    cases.append(
                        {
                            "form": form,
                            "curvature": curvature,
                            "batch": n,
                            "hyper": hyper,
                            "records": [
                                {
                                    "step": step,
                                    "x": [float(e) for e in x],
                                    "eta": [float(e) for e in eta],
                                    "tau": [float(e) for e in tau],
                                }
                                for step, x, eta, tau in short
                            ],
                        }
                    )
    print(*sorted(seen.items()), sep="\n")
    kinds = Counter()
    for (form, curvature, n, kind), count in seen.items():
        kinds[kind] += count
    assert all(kinds[kind] > 20 for kind in ["gradient", "curvature", "none"])
    file = {
        "made_by": f"numpy {np.__version__}",
        "segments": SEGMENTS,
        "start": START,
        "a": A.tolist(),
        "b": B.tolist(),
        "cases": cases,
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(file) + "\n")


main()
