"""Makes batchnorm.json and layernorm.json: float64 references of both normalizations by PyTorch.

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


def layer(samples, features):
    norm = torch.nn.LayerNorm(features, eps=1e-5)
    with torch.no_grad():
        norm.weight.copy_(1 + 0.5 * values(features, 4))
        norm.bias.copy_(values(features, 5))
    scale = torch.tensor([10.0 ** (n % 3 - 1) for n in range(samples)]).reshape(-1, 1)
    x = values(samples * features, 1).reshape(samples, features) * scale + 5.0
    x.requires_grad_()
    y = norm(x)
    slope = values(y.numel(), 11).reshape(y.shape)
    y.backward(slope)
    flat = lambda t: t.detach().flatten().tolist()
    tensors = {"x": x, "gamma": norm.weight, "beta": norm.bias, "slope": slope, "y": y}
    tensors |= {"dx": x.grad, "dgamma": norm.weight.grad, "dbeta": norm.bias.grad}
    return {"features": features} | {name: flat(t) for name, t in tensors.items()}


# Of two features, x̂ is ±1 whatever x, and the gradient a difference of equals: nothing to compare.
cases = [layer(1, 4), layer(5, 3), layer(7, 40), layer(3, 100)]
text = json.dumps({"made_by": f"make.py, PyTorch {torch.__version__}", "cases": cases})
Path(__file__).with_name("layernorm.json").write_text(text + "\n")
