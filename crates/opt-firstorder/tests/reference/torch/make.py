"""Makes the files beside it that have the state of PyTorch's optimizers, and where PyTorch goes on to.

    python make.py theirs    # <case>-<type>.theirs.safetensors and theirs.json
    OPT_TORCH_WRITE=1 cargo test -p opt-firstorder --features safetensors --test torch
    python make.py ours      # ours.json: PyTorch goes on from <case>-<type>.ours.safetensors

It needs torch, numpy and safetensors; the versions used are in the files' "made_by". Why: a file that we
write and read ourselves would agree with any mistake.
"""

import json
import os
import sys
from pathlib import Path

os.environ["ATEN_CPU_CAPABILITY"] = "default"  # before the import: no fused multiply-add
import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "../../../python"))
import opt_torch

BEFORE, AFTER, EVERY = 30, 100, 20
SHAPES = {"layer.weight": (3, 2), "layer.bias": (2,)}
PUSH = [0.3, -0.2, 0.1]
CASES = {
    "sgd": ("SGD", dict(lr=0.05, weight_decay=0.01)),
    "momentum": ("SGD", dict(lr=0.02, momentum=0.9, weight_decay=0.01)),
    "nesterov": ("SGD", dict(lr=0.02, momentum=0.9, weight_decay=0.01, nesterov=True)),
    "adam": ("Adam", dict(lr=0.01, betas=(0.9, 0.99), eps=1e-7, weight_decay=0.01)),
    "amsgrad": ("Adam", dict(lr=0.01, betas=(0.9, 0.99), eps=1e-7, weight_decay=0.01, amsgrad=True)),
    "adamw": ("AdamW", dict(lr=0.01, betas=(0.9, 0.99), eps=1e-7, weight_decay=0.01)),
    "adamax": ("Adamax", dict(lr=0.02, betas=(0.9, 0.99), eps=0.0, weight_decay=0.01)),
    "rmsprop": ("RMSprop", dict(lr=0.005, alpha=0.95, eps=1e-6, weight_decay=0.01)),
    "rmsprop-centered": ("RMSprop", dict(lr=0.01, alpha=0.95, eps=0.1, weight_decay=0.01, centered=True)),
    "rmsprop-momentum": ("RMSprop", dict(lr=0.001, alpha=0.95, eps=1e-6, weight_decay=0.01, momentum=0.8)),
    "adagrad": ("Adagrad", dict(lr=0.1, eps=1e-8, weight_decay=0.01, initial_accumulator_value=0.1)),
    "adadelta": ("Adadelta", dict(lr=1.0, rho=0.9, eps=1e-5, weight_decay=0.01)),
    "rprop": ("Rprop", dict(lr=0.01, etas=(0.5, 1.2), step_sizes=(1e-5, 0.5))),
}


def start(dtype):
    """Of each parameter: [0.25, -0.5, 0.75, ...] over its elements."""
    ramp = lambda n: torch.tensor([(-1) ** i * (0.25 + 0.25 * (i % 3)) for i in range(n)], dtype=dtype)
    return {name: ramp(torch.Size(shape).numel()).reshape(shape) for name, shape in SHAPES.items()}


def steps(optimizer, named, first, count):
    """On a x^2/2 + x^4/4 + c x, a = 1, 2, ... over a parameter's elements, and c of each step in turn."""
    points = []
    for t in range(first, first + count):
        for x in named.values():
            a = torch.arange(1, x.numel() + 1, dtype=x.dtype).reshape(x.shape)
            x.grad = a * x + x * x * x + PUSH[t % 3]
        optimizer.step()
        if (t + 1 - first) % EVERY == 0:
            points.append(flat(named))
    return points


def flat(named):
    """As texts: not every reader of JSON takes all digits."""
    return [repr(v) for x in named.values() for v in x.double().flatten().tolist()]


def theirs():
    out = {}
    for case, (kind, options) in CASES.items():
        for dtype in (torch.float32, torch.float64):
            named, name = start(dtype), f"{case}-{'f32' if dtype == torch.float32 else 'f64'}"
            optimizer = getattr(torch.optim, kind)(list(named.values()), **options)
            steps(optimizer, named, 0, BEFORE)
            opt_torch.save(optimizer, named.items(), HERE / f"{name}.theirs.safetensors")
            out[name] = {"start": flat(named), "points": steps(optimizer, named, BEFORE, AFTER)}
    return out


def ours():
    out = {}
    for case in CASES:
        for dtype in (torch.float32, torch.float64):
            name = f"{case}-{'f32' if dtype == torch.float32 else 'f64'}"
            start = json.loads((HERE / "start.json").read_text())[name]
            values = torch.tensor([float(v) for v in start], dtype=dtype)
            named, at = {}, 0
            for key, shape in SHAPES.items():
                size = torch.Size(shape).numel()
                named[key], at = values[at : at + size].reshape(shape).clone(), at + size
            optimizer = opt_torch.load(named.items(), HERE / f"{name}.ours.safetensors")
            out[name] = {"start": flat(named), "points": steps(optimizer, named, BEFORE, AFTER)}
    return out


if __name__ == "__main__":
    (which,) = sys.argv[1:]
    made_by = f"torch {torch.__version__.split('+')[0]}, Python {sys.version.split()[0]}"
    file = HERE / f"{which}.json"
    result = {"made_by": made_by, **{"theirs": theirs, "ours": ours}[which]()}
    lines = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in result.items())
    file.write_text("{\n" + lines + "\n}\n")
    print(file, len(result) - 1, "cases")
