"""The state of a PyTorch optimizer in a safetensors file, under the parameters' names, and back: what
`opt_firstorder::torch` reads and writes. One group of parameters. It needs torch and safetensors."""

import ast
import inspect

import torch
from safetensors import safe_open
from safetensors.torch import save_file


def save(optimizer, named_parameters, path):
    (group,) = optimizer.param_groups
    names, tensors = {parameter: name for name, parameter in named_parameters}, {}
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            if value is not None:
                tensors[f"{names[parameter]}.{key}"] = value.contiguous()
    text = lambda v: ",".join(map(repr, v)) if isinstance(v, tuple) else repr(v)
    options = {k: text(v) for k, v in group.items() if k not in ("params", "param_names")}
    save_file(tensors, path, {"opt-torch": "1", "optimizer": type(optimizer).__name__, **options})


def load(named_parameters, path):
    """A new optimizer of these parameters, with the file's class, options and state."""
    named = list(named_parameters)
    with safe_open(path, "pt") as file:
        options = file.metadata()
        kind, known = getattr(torch.optim, options["optimizer"]), {}
        for key in set(inspect.signature(kind).parameters) & set(options):
            known[key] = ast.literal_eval(options[key])
        optimizer, state = kind([parameter for _, parameter in named], **known), {}
        for key in file.keys():
            name, _, buffer = key.rpartition(".")
            place = [n for n, _ in named].index(name)
            state.setdefault(place, {})[buffer] = file.get_tensor(key)
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    return optimizer
