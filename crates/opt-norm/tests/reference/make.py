"""Makes batchnorm.json: float64 references of batch normalization by PyTorch.

Run `python make.py` where PyTorch is installed; the version used is in "made_by". Inputs come from
a formula, so that they need not be stored: value i of a tensor with salt s is
sin(1.7 i + s) + 0.3 cos(0.9 i s), a few features scaled and shifted far from 0.
"""

import json
import math
from pathlib import Path

import torch

torch.set_default_dtype(torch.float64)


def values(count, salt):
    return torch.tensor([math.sin(1.7 * i + salt) + 0.3 * math.cos(0.9 * i * salt) for i in range(count)])


def case(batch, channels, positions):
    shape = (batch, channels, positions)
    norm = torch.nn.BatchNorm1d(channels, eps=1e-5, momentum=0.1)
    with torch.no_grad():
        norm.weight.copy_(1 + 0.5 * values(channels, 4))
        norm.bias.copy_(values(channels, 5))
    out = {"batch": batch, "channels": channels, "positions": positions, "steps": []}
    for salt in (1, 2, 3):
        x = values(batch * channels * positions, salt).reshape(shape)
        scale = torch.tensor([10.0 ** (c % 3 - 1) for c in range(channels)]).reshape(1, -1, 1)
        shift = torch.tensor([5.0 * (c % 2) for c in range(channels)]).reshape(1, -1, 1)
        x = (x * scale + shift).requires_grad_()
        norm.train()
        norm.zero_grad()
        y = norm(x)
        slope = values(y.numel(), salt + 10).reshape(shape)
        y.backward(slope)
        norm.eval()
        flat = lambda t: t.detach().flatten().tolist()
        out["steps"].append(
            {
                "x": flat(x),
                "slope": flat(slope),
                "y": flat(y),
                "dx": flat(x.grad),
                "dgamma": flat(norm.weight.grad),
                "dbeta": flat(norm.bias.grad),
                "running_mean": flat(norm.running_mean),
                "running_variance": flat(norm.running_var),
                "inference": flat(norm(x)),
            }
        )
    out["gamma"] = flat(norm.weight)
    out["beta"] = flat(norm.bias)
    return out


cases = [case(2, 1, 1), case(5, 3, 1), case(16, 7, 1), case(3, 4, 6)]
text = json.dumps({"made_by": f"make.py, PyTorch {torch.__version__}", "cases": cases})
Path(__file__).with_name("batchnorm.json").write_text(text + "\n")
