"""Makes iterates.json: float64 reference iterates of every first-order method.

Run `python make.py`: it prints its checks and writes iterates.json beside itself. It needs
PyTorch and numpy on x86-64; the versions used are in the file's "made_by".

Why: a test that only sees the loss fall misses a wrong bias correction. The Rust tests
compare whole trajectories, to a relative 1e-12, with numbers that Rust did not make: from
PyTorch where it has the method in our form, else from a transcription of the paper below.

Each method is transcribed, PyTorch's too, as scalar arithmetic in the paper's order. The
script stops, and writes nothing, unless
  - transcription and PyTorch agree to 1e-13 wherever both exist;
  - the transcription in 80-bit arithmetic agrees to 1e-13 too: then the case is well
    conditioned, and another order of operations stays within 1e-12. Hyper-parameters were
    chosen for that: others let a coordinate pass so near to 0 that its digits cancel;
  - special cases agree with PyTorch (a constant gain is momentum, and so on);
  - every branch of the methods that have branches was taken, and no two cases are alike;
  - "deck_errors", the formulas as the deck "Optimization for Deep Networks" prints them,
    are far from the right iterates: one error at a time, all else (eps) as it should be.
"""

import json
import math
import os
import platform
from collections import Counter
from functools import partial
from itertools import chain, count, islice
from pathlib import Path
from types import SimpleNamespace

os.environ["ATEN_CPU_CAPABILITY"] = "default"  # before the import: no SIMD, no fused multiply-add
import numpy as np
import torch

STEPS = 40
A = [1.0, 10.0, 0.1, 3.0]
START = [1.0, -1.5, 2.0, 0.5]
N = len(START)
PROBLEM = (
    "f(x) = sum_{i=0}^{3} (a_i x_i^2 / 2 + x_i^4 / 4) + sum_{i=0}^{2} x_i x_{i+1} / 2, "
    f"a = {A}; {STEPS} steps from start"
)
seen = Counter()  # branches taken since the last clear()


def value(x):
    own = sum(0.5 * A[i] * x[i] * x[i] + 0.25 * x[i] * x[i] * x[i] * x[i] for i in range(N))
    return own + 0.5 * sum(x[i] * x[i + 1] for i in range(N - 1))


def gradient(x, weight_decay):
    """f'(x) + weight_decay x: coupled L2."""
    p = [0.0, *x, 0.0]
    return [
        A[i] * x[i] + x[i] * x[i] * x[i] + 0.5 * (p[i] + p[i + 2]) + weight_decay * x[i] for i in range(N)
    ]


# --- Transcriptions. A rule returns one coordinate after step t = 1, 2, ... h: hyper-parameters;
# x: the coordinate; g: its gradient; s: its state.


class State(SimpleNamespace):
    def __getattr__(self, name):  # called for what was not yet set
        return 0.0


def elementwise(rule, decoupled=False, **variant):
    """The method, as a generator of points, that applies the rule to every coordinate."""

    def method(h, x):
        states, f_last = [State() for _ in x], math.inf
        for t in count(1):
            g = gradient(x, 0.0 if decoupled else getattr(h, "weight_decay", 0.0))
            f = value(x)
            h.rose, f_last = f > f_last, f
            x = [rule(h, t, x[i], g[i], states[i], **variant) for i in range(N)]
            yield x

    return method


def sgd(h, t, x, g, s):
    return x - h.lr * g


def momentum(h, t, x, g, s):
    """Polyak 1964, the learning rate inside the velocity."""
    s.v = h.momentum * s.v + h.lr * g
    return x - s.v


def nag(h, x, keep=True, shifted=False):
    """Nesterov 1983, in the form of Sutskever et al. 2013. keep: v keeps its momentum.
    shifted: yields the next look-ahead point, which PyTorch calls the parameter."""
    v = [0.0] * N
    while True:
        g = gradient([x[i] - h.momentum * v[i] for i in range(N)], h.weight_decay)
        v = [(h.momentum * v[i] if keep else 0.0) + h.lr * g[i] for i in range(N)]
        x = [x[i] - v[i] for i in range(N)]
        yield [x[i] - h.momentum * v[i] for i in range(N)] if shifted else x


def nesterov(h, t, x, g, s):
    """The same with the gradient at the stored point, as PyTorch's."""
    s.b = h.momentum * s.b + g
    return x - h.lr * (g + h.momentum * s.b)


def rprop(h, t, x, g, s, variant):
    """'-' and '+': Riedmiller & Braun 1993; 'i-' and 'i+': Igel & Huesken 2000."""
    s.step, product = (h.step0 if t == 1 else s.step), g * s.g
    if product > 0:
        s.step = min(h.grow * s.step, h.step_max)
        seen["step_max"] += s.step == h.step_max
    elif product < 0:
        s.step = max(h.shrink * s.step, h.step_min)
        seen["step_min"] += s.step == h.step_min
        seen["rose" if h.rose else "fell"] += 1
        if variant != "-":
            s.g = 0.0  # no second reduction at the next step
            undo = variant == "+" or (variant == "i+" and h.rose)
            return x - s.moved if undo else x
    s.moved, s.g = -np.sign(g) * s.step, g
    return x + s.moved


def manhattan(h, t, x, g, s):
    return x - np.sign(g) * h.step0


def delta_bar_delta(h, t, x, g, s):
    """Jacobs 1988: the old trace in the comparison, the new rate in the step."""
    s.rate, product = (h.lr if t == 1 else s.rate), s.trace * g
    if product > 0:
        s.rate += h.kappa
        seen["up"] += 1
    elif product < 0:
        s.rate -= h.phi * s.rate
        seen["down"] += 1
    s.trace = (1 - h.theta) * g + h.theta * s.trace
    return x - s.rate * g


def gains(h, t, x, g, s):
    """Hinton 2012, lecture 6: the gain follows the gradient and the old velocity."""
    s.gain, product = (1.0 if t == 1 else s.gain), g * s.v
    if product > 0:
        s.gain = min(s.gain + h.up, h.gain_max)
        seen["gain_max" if s.gain == h.gain_max else "up"] += 1
    elif product < 0:
        s.gain = max(s.gain * h.down, h.gain_min)
        seen["gain_min" if s.gain == h.gain_min else "down"] += 1
    s.v = h.momentum * s.v + h.lr * s.gain * g
    return x - s.v


def adagrad(h, t, x, g, s, of_x=False):
    """Duchi et al. 2011, diagonal."""
    s.r = (h.initial_accumulator if t == 1 else s.r) + (x * x if of_x else g * g)
    return x - h.lr * g / (np.sqrt(s.r) + h.eps)


def rmsprop(h, t, x, g, s, centered=False):
    """Tieleman & Hinton 2012; centered: Graves 2013."""
    s.r = h.gamma * s.r + (1 - h.gamma) * g * g
    s.mean = h.gamma * s.mean + (1 - h.gamma) * g
    variance = s.r - s.mean * s.mean if centered else s.r
    return x - h.lr * g / (np.sqrt(variance) + h.eps)


def rmsprop_momentum(h, t, x, g, s):
    """Graves 2013 without centring, eps outside of the root as in PyTorch."""
    s.r = h.gamma * s.r + (1 - h.gamma) * g * g
    s.v = h.momentum * s.v + h.lr * g / (np.sqrt(s.r) + h.eps)
    return x - s.v


def adadelta(h, t, x, g, s):
    """Zeiler 2012, with a gamma and an eps for each of the two averages."""
    s.r = h.gamma_grad * s.r + (1 - h.gamma_grad) * g * g
    delta = np.sqrt(s.d + h.eps_update) / np.sqrt(s.r + h.eps_grad) * g
    s.d = h.gamma_update * s.d + (1 - h.gamma_update) * delta * delta
    return x - h.lr * delta


def adadelta_immediate(h, t, x, g, s):
    """Both averages have today's: delta must solve the equation that says so."""
    r, d = h.gamma * s.r, h.gamma * s.d
    delta = np.sqrt((d + h.eps_update) / (r + h.eps_grad)) * g
    s.r, s.d = r + (1 - h.gamma) * g * g, d + (1 - h.gamma) * delta * delta
    left, right = delta * delta * (s.r + h.eps_grad), g * g * (s.d + h.eps_update)
    assert abs(left - right) <= 1e-14 * abs(right), (left, right)
    return x - h.lr * delta


def adadelta_corrected(h, t, x, g, s):
    """Zeiler 2012 with each average over the sum of its weights, none for d before the first step."""
    s.r = h.gamma_grad * s.r + (1 - h.gamma_grad) * g * g
    d = 0.0 if t == 1 else s.d / right(h.gamma_update, t - 1)
    delta = np.sqrt(d + h.eps_update) / np.sqrt(s.r / right(h.gamma_grad, t) + h.eps_grad) * g
    s.d = h.gamma_update * s.d + (1 - h.gamma_update) * delta * delta
    return x - h.lr * delta


def right(beta, t):
    return 1 - beta**t


def deck(beta, t):
    """Right only if beta were one minus the decay; in the deck it is the decay."""
    return 1 - (1 - beta) ** t


def adam(h, t, x, g, s, correction=right, amsgrad=False):
    """Kingma & Ba 2015; amsgrad: Reddi et al. 2018, the maximum before the bias correction."""
    s.m = h.beta1 * s.m + (1 - h.beta1) * g
    s.s = h.beta2 * s.s + (1 - h.beta2) * g * g
    seen["below the maximum"] += s.s < s.largest
    s.largest = max(s.largest, s.s)
    s_hat = (s.largest if amsgrad else s.s) / correction(h.beta2, t)
    return x - h.lr * (s.m / correction(h.beta1, t)) / (np.sqrt(s_hat) + h.eps)


def adamw(h, t, x, g, s):
    """Loshchilov & Hutter 2019: the decay apart from the gradient."""
    return adam(h, t, x, g, s) - h.lr * h.weight_decay * x


def adamax(h, t, x, g, s, correction=right):
    """Kingma & Ba 2015, section 7.1, eps added to u."""
    s.m = h.beta1 * s.m + (1 - h.beta1) * g
    seen["u kept"] += h.beta2 * s.u > abs(g)
    s.u = max(h.beta2 * s.u, abs(g))
    return x - h.lr * (s.m / correction(h.beta1, t)) / (s.u + h.eps)


# --- The methods: transcription, its source, PyTorch's optimizer and its settings, cases. They get
# weight_decay 0 (adamw 0.01, else it were adam), and one case more: the first with 0.1.


def cases(names, *rows):
    return [dict(zip(names.split(), row, strict=True)) for row in rows]


HEAVY = cases("lr momentum", (0.02, 0.9), (0.05, 0.5))
# The first has sums of powers of two, so that weight decay, which draws x to 0, meets no rounding.
RPROP = cases(
    "step0 grow shrink step_min step_max", (0.25, 1.5, 0.25, 2.0**-6, 0.5), (0.15, 1.2, 0.5, 1e-6, 50.0)
)
DELTA = cases("lr kappa phi theta", (0.05, 0.035, 0.333, 0.7), (0.05, 0.005, 0.2, 0.5))
GAINS = cases(
    "lr momentum up down gain_min gain_max",
    (0.02, 0.8, 0.05, 0.95, 0.1, 10.0),
    (0.05, 0.5, 0.2, 0.7, 0.6, 1.5),
)
ADAGRAD = cases("lr eps initial_accumulator", (0.3, 1e-10, 0.0), (0.3, 0.01, 0.1))
MANHATTAN = cases("step0", (7.0 / 128.0,), (0.07,))  # x is never 0: no start is a multiple
GAMMA = cases("lr gamma eps", (0.05, 0.9, 1e-8), (0.02, 0.99, 0.01))
ADADELTA = cases(
    "lr gamma_grad gamma_update eps_grad eps_update",
    (1.0, 0.95, 0.95, 1e-6, 1e-6),
    (0.5, 0.9, 0.9, 1e-3, 1e-3),
    (1.0, 0.9, 0.8, 1e-6, 2e-3),
    (2.0, 0.8, 0.95, 1e-2, 1e-4),
)
CORRECTED = ADADELTA[:3] + [ADADELTA[3] | {"lr": 1.5}]
IMMEDIATE = cases(
    "lr gamma eps_grad eps_update", (0.04, 0.95, 1e-6, 1e-6), (1.0, 0.9, 1.0, 1e-3), (0.1, 0.8, 1e-4, 1e-5)
)
RMS_HEAVY = cases("lr gamma momentum eps", (0.005, 0.9, 0.9, 1e-8), (0.01, 0.99, 0.5, 0.01))
ADAM = cases("lr beta1 beta2 eps", (0.05, 0.9, 0.999, 1e-8), (0.08, 0.7, 0.9, 0.01))
ADAMAX = [case | {"eps": 0.0} for case in ADAM] + ADAM
RB, IH = "Riedmiller & Braun 1993", "Igel & Huesken 2000"
METHODS = {
    "sgd": (elementwise(sgd), "", "SGD", {}, cases("lr", (0.05,), (0.01,))),
    "momentum": (elementwise(momentum), "", "SGD", {}, HEAVY),
    "nag": (nag, "Nesterov 1983, as in Sutskever et al. 2013", "", {}, HEAVY),
    "nesterov": (elementwise(nesterov), "", "SGD", {"nesterov": True}, HEAVY),
    "rprop-minus": (elementwise(rprop, variant="-"), RB, "", {}, RPROP),
    "rprop-plus": (elementwise(rprop, variant="+"), RB, "", {}, RPROP),
    "irprop-minus": (elementwise(rprop, variant="i-"), IH, "Rprop", {}, RPROP),
    "irprop-plus": (elementwise(rprop, variant="i+"), IH, "", {}, RPROP),
    "manhattan": (elementwise(manhattan), RB + ", fixed steps", "", {}, MANHATTAN),
    "delta-bar-delta": (elementwise(delta_bar_delta), "Jacobs 1988", "", {}, DELTA),
    "gains": (elementwise(gains), "Hinton 2012, lecture 6", "", {}, GAINS),
    "adagrad": (elementwise(adagrad), "", "Adagrad", {}, ADAGRAD),
    "rmsprop": (elementwise(rmsprop), "", "RMSprop", {}, GAMMA),
    "rmsprop-centered": (elementwise(rmsprop, centered=True), "", "RMSprop", {"centered": True}, GAMMA),
    "rmsprop-momentum": (elementwise(rmsprop_momentum), "", "RMSprop", {}, RMS_HEAVY),
    "adadelta": (elementwise(adadelta), "Zeiler 2012, own gammas and eps", "Adadelta", {}, ADADELTA),
    "adadelta-immediate": (elementwise(adadelta_immediate), "its equation", "", {}, IMMEDIATE),
    "adadelta-corrected": (elementwise(adadelta_corrected), "Zeiler 2012, corrected", "", {}, CORRECTED),
    "adam": (elementwise(adam), "", "Adam", {}, ADAM),
    "amsgrad": (elementwise(adam, amsgrad=True), "", "Adam", {"amsgrad": True}, ADAM),
    "adamw": (elementwise(adamw, decoupled=True), "", "AdamW", {}, ADAM),
    "adamax": (elementwise(adamax), "Kingma & Ba 2015, eps added to u", "Adamax", {}, ADAMAX),
}
DECK_ERRORS = {
    "nag": (partial(nag, keep=False), "v = lr f'(x - momentum v): momentum v is missing"),
    "adagrad": (elementwise(adagrad, of_x=True), "r accumulates x^2, not the gradient's square"),
    "adam": (elementwise(adam, correction=deck), "bias correction 1 - (1 - beta)^t"),
    "adamax": (elementwise(adamax, correction=deck), "bias correction 1 - (1 - beta)^t"),
}
# What must happen in a method's cases; "rose" and "fell" are said of f at a change of sign.
RPROPS = [name for name in METHODS if "rprop" in name]
BRANCHES = {key: ["rose", "fell", "step_min", "step_max"] for key in RPROPS} | {
    "delta-bar-delta": ["up", "down"],
    "gains": ["up", "down", "gain_min", "gain_max"],
    "amsgrad": ["below the maximum"],
    "adamax": ["u kept"],
}


def hypers(method):
    made = METHODS[method][-1]
    if method == "irprop-plus":  # it compares values of f, which has no decay term
        return made
    usual = {"weight_decay": 0.01 if method == "adamw" else 0.0}
    return [case | usual for case in made] + [made[0] | {"weight_decay": 0.1}]


# --- Running them.


def iterates(method, hyper, number=float):
    h = SimpleNamespace(**{name: number(v) for name, v in hyper.items()})
    points = islice(method(h, [number(v) for v in START]), STEPS)
    return [START] + [[number(v) for v in x] for x in points]


def torch_settings(hyper):
    """PyTorch's names for our hyper-parameters."""
    pairs = {"betas": ("beta1", "beta2"), "etas": ("shrink", "grow"), "step_sizes": ("step_min", "step_max")}
    names = {k: k for k in ("lr", "momentum", "eps", "weight_decay")} | {"step0": "lr", "gamma": "alpha"}
    names |= {"gamma_grad": "rho", "eps_grad": "eps", "initial_accumulator": "initial_accumulator_value"}
    both = {name: (hyper[a], hyper[b]) for name, (a, b) in pairs.items() if a in hyper}
    return both | {names[k]: v for k, v in hyper.items() if k in names}


def torch_iterates(method, hyper):
    """The trajectory, or None where PyTorch has not the method in our form."""
    name, more = METHODS[method][2:4]
    if not name or (name == "Adamax" and hyper["eps"] != 0):  # its u is max(beta2 u, |g| + eps)
        return None
    if name == "Adadelta" and any(hyper[k + "_grad"] != hyper[k + "_update"] for k in ("gamma", "eps")):
        return None
    settings = torch_settings(hyper)
    decay = settings.pop("weight_decay") if name == "Rprop" else 0.0  # Rprop knows none: by hand
    x = torch.nn.Parameter(torch.tensor(START, dtype=torch.float64))
    optimizer = getattr(torch.optim, name)([x], foreach=False, **settings, **more)
    rows = [START]
    for _ in range(STEPS):
        x.grad = torch.tensor(gradient(x.tolist(), decay), dtype=torch.float64)
        optimizer.step()
        rows.append(x.tolist())
    return rows


def difference(rows, reference):
    """The largest relative difference, coordinate by coordinate."""
    pairs = zip(chain(*rows), chain(*reference), strict=True)
    return max(0.0 if a == b else float(abs(a - b) / abs(b)) for a, b in pairs)


def make_case(method, hyper):
    transcription, paper, optimizer = METHODS[method][:3]
    before = seen["rose"] + seen["fell"]
    rows, by_torch = iterates(transcription, hyper), torch_iterates(method, hyper)
    assert method not in RPROPS or seen["rose"] + seen["fell"] > before, (method, hyper)
    apart = difference(rows, by_torch) if by_torch else 0.0
    exact = difference(iterates(transcription, hyper, np.longdouble), by_torch or rows)
    against = f"PyTorch {apart:.1e}" if by_torch else ""
    print(f"{method:18} 80-bit {exact:.1e}  {against:16} f {value(rows[0]):.3f} -> {value(rows[-1]):.4f}")
    assert apart < 1e-13 and exact < 1e-13, (method, hyper)
    source = f"torch.optim.{optimizer}" if by_torch else f"transcription: {paper}"
    return {"method": method, "source": source, "hyper": hyper, "iterates": by_torch or rows}


def make_deck_error(method):
    """The formula as printed, with the hyper-parameters of the method's first case."""
    (wrong, what), hyper = DECK_ERRORS[method], hypers(method)[0]
    rows = iterates(wrong, hyper)
    off = difference(rows, iterates(METHODS[method][0], hyper))
    print(f"deck's {method:10} off by {off:.1e}")
    assert 1e-3 < off < math.inf, method
    return {"method": method, "source": "deck: " + what, "hyper": hyper, "iterates": rows}


def check_special_cases():
    """Links between what PyTorch has and what it has not; and the gradient against f."""
    plain = {"lr": 0.02, "weight_decay": 0.1}
    heavy = plain | {"momentum": 0.9}
    gain_1 = heavy | {"up": 0.0, "down": 1.0, "gain_min": 0.1, "gain_max": 10.0}
    one_eps = plain | {"gamma": 0.95, "eps_grad": 1e-6, "eps_update": 1e-6}
    still = plain | {"gamma": 0.9, "momentum": 0.0, "eps": 1e-8}
    rate_fixed = plain | {"kappa": 0.0, "phi": 0.0, "theta": 0.7}
    for name, method, hyper, same, same_hyper in [
        ("gains with gain 1", elementwise(gains), gain_1, "momentum", heavy),
        ("delta-bar-delta with its rate fixed", elementwise(delta_bar_delta), rate_fixed, "sgd", plain),
        ("adadelta-immediate with one eps", elementwise(adadelta_immediate), one_eps, "sgd", plain),
        ("rmsprop-momentum without", elementwise(rmsprop_momentum), still, "rmsprop", still),
        ("nag at its look-ahead points", partial(nag, shifted=True), heavy, "nesterov", heavy),
    ]:
        off = difference(iterates(method, hyper), torch_iterates(same, same_hyper))
        print(f"{name} = PyTorch's {same}: {off:.1e}")
        assert off < 1e-13, name
    for i in range(N):
        up, down = ([v + d * (j == i) for j, v in enumerate(START)] for d in (1e-5, -1e-5))
        assert abs((value(up) - value(down)) / 2e-5 - gradient(START, 0.0)[i]) < 1e-8, i


def main():
    check_special_cases()
    made = []
    for method in METHODS:
        seen.clear()
        made += [make_case(method, hyper) for hyper in hypers(method)]
        missing = [branch for branch in BRANCHES.get(method, []) if not seen[branch]]
        assert not missing, (method, missing)
    assert len({str(case["iterates"]) for case in made}) == len(made)
    versions = f"Python {platform.python_version()}, PyTorch {torch.__version__}, numpy {np.__version__}"
    head = {"made_by": "make.py, " + versions, "problem": PROBLEM, "start": START}
    lines = [f'"{name}": {json.dumps(v)}' for name, v in head.items()]
    for name, group in ("cases", made), ("deck_errors", [make_deck_error(m) for m in DECK_ERRORS]):
        rows = ",\n".join(json.dumps(case, allow_nan=False) for case in group)
        lines.append(f'"{name}": [\n{rows}\n]')
    Path(__file__).with_name("iterates.json").write_text("{" + ",\n".join(lines) + "}\n")


if __name__ == "__main__":
    main()
