"""Makes schedules.csv: what PyTorch's learning-rate schedulers and averages give, in float64.

Run `python schedules.py`: it writes schedules.csv beside itself. It needs PyTorch; the version
used is in the first line. Each row is a name and values; what the Rust tests compare with which
form of ours stands there.

Why: closed forms are easily off by one update, and PyTorch's are what others have in mind.
"""

import warnings
from pathlib import Path

import torch
from torch.optim import SGD, ASGD, lr_scheduler as lrs
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

warnings.filterwarnings("ignore")
torch.set_default_dtype(torch.float64)
ROWS = []


def row(name, values):
    ROWS.append(",".join([name, *(repr(float(v)) for v in values)]))


def optimizer(lr, **more):
    return SGD([torch.zeros(1, requires_grad=True)], lr=lr, **more)


def schedule(name, make, steps, lr=0.1, key="lr", **more):
    """The value before the first step, and after each of `steps`."""
    opt = optimizer(lr, **more)
    scheduler = make(opt)
    values = [opt.param_groups[0][key]]
    for _ in range(steps):
        opt.step()
        scheduler.step()
        values.append(opt.param_groups[0][key])
    row(name, values)


schedule("linear", lambda o: lrs.LinearLR(o, 0.25, 1.0, total_iters=8), 12)
schedule("step", lambda o: lrs.StepLR(o, 3, 0.5), 12)
schedule("exponential", lambda o: lrs.ExponentialLR(o, 0.9), 12)
schedule("multistep", lambda o: lrs.MultiStepLR(o, [3, 7], 0.1), 12)
# Beyond T_max it rises again, where ours stays.
schedule("cosine", lambda o: lrs.CosineAnnealingLR(o, 10, eta_min=0.01), 10)
schedule("restarts", lambda o: lrs.CosineAnnealingWarmRestarts(o, 4, 1, eta_min=0.01), 40)
schedule("restarts-2", lambda o: lrs.CosineAnnealingWarmRestarts(o, 4, 2, eta_min=0.01), 70)
schedule("restarts-3", lambda o: lrs.CosineAnnealingWarmRestarts(o, 1, 3, eta_min=0.0), 70)
one_cycle = lambda o: lrs.OneCycleLR(o, max_lr=0.1, total_steps=100)
schedule("one-cycle", one_cycle, 99)
schedule("one-cycle-momentum", one_cycle, 99, key="momentum", momentum=0.9)
schedule(
    "one-cycle-three",
    lambda o: lrs.OneCycleLR(o, max_lr=0.1, total_steps=100, three_phase=True),
    99,
)
schedule(
    "warmup-cosine",
    lambda o: lrs.SequentialLR(
        o,
        [lrs.LinearLR(o, 0.25, 1.0, total_iters=6), lrs.CosineAnnealingLR(o, 14, eta_min=0.001)],
        [6],
    ),
    20,
)
schedule(
    "linear-then-exponential",
    lambda o: lrs.SequentialLR(
        o, [lrs.LinearLR(o, 0.25, 1.0, total_iters=6), lrs.ExponentialLR(o, 0.8)], [6]
    ),
    20,
)

# Falls, stalls, improves by less than the threshold, jumps up, falls again, stalls for long.
losses = [5.0, 4.0, 3.0, 3.0, 3.0, 2.9999, 2.9998, 2.9, 9.0, 8.0, 2.9, 2.5] + 14 * [2.5]
row("losses", losses)
for name, more in {
    "plateau": dict(factor=0.5, patience=2),
    "plateau-cooldown": dict(factor=0.1, patience=1, cooldown=3, threshold=1e-2),
    "plateau-least": dict(factor=0.3, patience=0, min_lr=2e-3),
}.items():
    opt = optimizer(0.1)
    scheduler = lrs.ReduceLROnPlateau(opt, eps=0.0, **more)
    values = []
    for loss in losses:
        scheduler.step(loss)
        values.append(opt.param_groups[0]["lr"])
    row(name, values)

# f(x) = Σ aᵢxᵢ²/2 with noise from a sine; x and its average after each step.
a = torch.tensor([1.0, 0.1])


def path(optimizer, x, steps, each):
    xs = []
    for t in range(steps):
        optimizer.zero_grad()
        (0.5 * (a * x * x).sum() + 0.3 * torch.sin(torch.tensor(2.0 * t)) * x.sum()).backward()
        optimizer.step()
        xs.append(x.detach().clone())
        each(t)
    return torch.stack(xs)


x = torch.tensor([1.0, -2.0], requires_grad=True)
opt = ASGD([x], lr=0.2, lambd=0.05, alpha=1.0, t0=4)
eta, mean = [], []


def seen(_):
    state = opt.state[x]
    eta.append(float(state["eta"]))
    mean.append(state["ax"].clone())


xs = path(opt, x, 20, seen)
row("inverse-time", [0.2, *eta])
for i in range(2):
    row(f"asgd-x-{i}", xs[:, i])
    row(f"asgd-mean-{i}", torch.stack(mean)[:, i])


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.x = torch.nn.Parameter(torch.tensor([1.0, -2.0]))


model = Model()
swa, ema = AveragedModel(model), AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
means = {"swa": [], "ema": []}


def average(t):
    ema.update_parameters(model)
    means["ema"].append(ema.module.x.detach().clone())
    if t >= 5:
        swa.update_parameters(model)
        means["swa"].append(swa.module.x.detach().clone())


xs = path(SGD([model.x], lr=0.3), model.x, 20, average)
row("average-x", xs[:, 0])
for name, values in means.items():
    row(name, torch.stack(values)[:, 0])

text = f"# made by schedules.py with PyTorch {torch.__version__}\n" + "\n".join(ROWS) + "\n"
Path(__file__).with_name("schedules.csv").write_text(text)
