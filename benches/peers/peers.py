"""PyTorch, optax or SciPy: does the works that it is told, one repetition at a time.

    python peers.py pytorch|optax|scipy THREADS

One line of JSON on standard input, one on standard output: {"set": WORK} makes a work ready,
"run" does one repetition of it and tells its milliseconds, "drop" frees it. An answer {"gap": WHY}
means that there is no such figure.
"""

import json
import os
import sys
import time

import conv

TRIALS = 3


class Gap(Exception):
    """Why there is no figure."""


def gradient(parameters):
    """Signs that change now and then, so that every branch is taken."""
    return (np.arange(parameters) % 17 - 8).astype(np.float32)


def samples(work):
    """Inputs in [0, 1), classes, and an epoch's order."""
    draw = np.random.default_rng(0)
    inputs = draw.random((work["samples"], work["widths"][0]), dtype=np.float32)
    classes = draw.integers(0, 10, work["samples"])
    return inputs, classes, draw.permutation(work["samples"])


def begins(work):
    """Where in the order each minibatch begins, endlessly."""
    while True:
        yield from range(0, work["samples"] - work["batch"] + 1, work["batch"])


def bends(work, layer):
    """Whether the layer's output passes through the activation."""
    layers = len(work["widths"]) - 1
    code = work["activation"] == "autoencoder" and layer + 1 == layers // 2
    return layer + 1 < layers and not code


def timed(call, count=1):
    begin = time.perf_counter()
    for _ in range(count):
        call()
    return 1e3 * (time.perf_counter() - begin) / count


class PyTorch:
    def __init__(self, threads):
        import torch

        self.torch = torch
        torch.set_num_threads(threads)
        self.version = torch.__version__
        optim = torch.optim
        self.rules = {
            "sgd": (optim.SGD, {}),
            "momentum": (optim.SGD, {"momentum": 0.9}),
            "nesterov": (optim.SGD, {"momentum": 0.9, "nesterov": True}),
            "adagrad": (optim.Adagrad, {}),
            "rmsprop": (optim.RMSprop, {}),
            "rmsprop-centered": (optim.RMSprop, {"centered": True}),
            "adadelta": (optim.Adadelta, {}),
            "adam": (optim.Adam, {}),
            "amsgrad": (optim.Adam, {"amsgrad": True}),
            "adamw": (optim.AdamW, {}),
            "adamax": (optim.Adamax, {}),
            "irprop-minus": (optim.Rprop, {}),
        }

    def optimizers(self, rule, rate, params):
        """Each of its implementations of a rule, by name."""
        if rule not in self.rules:
            raise Gap(f"it has no {rule}")
        make, options = self.rules[rule]
        ways = {"loop": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}
        for how, way in ways.items():
            try:
                yield how, make(params, lr=rate, **options, **way)
            except (TypeError, RuntimeError):
                pass  # it has no such implementation

    def fastest(self, rule, rate, params, run):
        """The best of them, with its milliseconds; `run` does a repetition by an optimizer."""
        best = None
        for how, optimizer in self.optimizers(rule, rate, params):
            ms = sorted(run(optimizer) for _ in range(TRIALS))[TRIALS // 2]
            if best is None or ms < best[0]:
                best = ms, how, optimizer
            else:
                optimizer.state.clear()
        return best

    def update(self, work):
        x = self.torch.nn.Parameter(self.torch.ones(work["parameters"]))
        x.grad = self.torch.from_numpy(gradient(work["parameters"]))
        step = lambda optimizer: timed(optimizer.step)
        _, how, optimizer = self.fastest(work["rule"], work["rate"], [x], step)
        return how, lambda: step(optimizer)

    def training(self, work):
        torch, functional = self.torch, self.torch.nn.functional
        inputs, classes, order = (torch.from_numpy(a) for a in samples(work))
        layers = []
        for layer, (fan_in, units) in enumerate(zip(work["widths"], work["widths"][1:])):
            layers.append(torch.nn.Linear(fan_in, units))
            if bends(work, layer):
                relu = work["activation"] == "relu"
                layers.append(torch.nn.ReLU() if relu else torch.nn.Sigmoid())
        model, begin = torch.nn.Sequential(*layers), begins(work)

        def update(optimizer):
            first = next(begin)
            rows = order[first : first + work["batch"]]
            x = inputs[rows]
            output = model(x)
            if work["loss"] == "softmax":
                loss = functional.cross_entropy(output, classes[rows])
            else:
                loss = functional.binary_cross_entropy_with_logits(output, x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        repeat = lambda optimizer: timed(lambda: update(optimizer), work["updates"])
        params = list(model.parameters())
        _, how, optimizer = self.fastest(work["method"], work["rate"], params, repeat)
        return how, lambda: repeat(optimizer)

    def convolution(self, work):
        best = None
        for layout in conv.LAYOUTS:
            params, update = conv.prepare(self.torch, layout, work["batch"])
            repeat = lambda opt, update=update: timed(lambda: update(opt), work["updates"])
            ms, how, optimizer = self.fastest("adam", work["rate"], params, repeat)
            if best is None or ms < best[0]:
                run = lambda repeat=repeat, optimizer=optimizer: repeat(optimizer)
                best = ms, f"{how}, {layout}", run
        return best[1:]


class Optax:
    def __init__(self, threads):
        # XLA's pool has as many threads as there are processors; it has no setting for fewer.
        import jax
        import optax

        self.jax, self.optax = jax, optax
        jax.config.update("jax_platforms", "cpu")
        self.version = f"{optax.__version__} (jax {jax.__version__})"

    def rule(self, name, rate):
        optax = self.optax
        rules = {
            "sgd": lambda: optax.sgd(rate),
            "momentum": lambda: optax.sgd(rate, momentum=0.9),
            "nesterov": lambda: optax.sgd(rate, momentum=0.9, nesterov=True),
            "adagrad": lambda: optax.adagrad(rate),
            "rmsprop": lambda: optax.rmsprop(rate),
            "rmsprop-centered": lambda: optax.rmsprop(rate, centered=True),
            "adadelta": lambda: optax.adadelta(rate),
            "adam": lambda: optax.adam(rate),
            "amsgrad": lambda: optax.amsgrad(rate),
            "adamw": lambda: optax.adamw(rate),
            "adamax": lambda: optax.adamax(rate),
            "irprop-minus": lambda: optax.rprop(rate),
            "manhattan": lambda: optax.sign_sgd(rate),
        }
        if name not in rules:
            raise Gap(f"it has no {name}")
        return rules[name]()

    def update(self, work):
        jax, optax = self.jax, self.optax
        rule = self.rule(work["rule"], work["rate"])

        def step(x, state, g):
            moves, state = rule.update(g, state, x)
            return optax.apply_updates(x, moves), state

        step = jax.jit(step, donate_argnums=(0, 1))
        x, g = jax.numpy.ones(work["parameters"]), jax.numpy.asarray(gradient(work["parameters"]))
        now = [x, jax.block_until_ready(rule.init(x))]

        def run():
            now[:] = jax.block_until_ready(step(*now, g))

        run()  # compiles
        return "jit, donated", lambda: timed(run)

    def training(self, work):
        jax, optax = self.jax, self.optax
        rule = self.rule(work["method"], work["rate"])
        inputs, classes, order = (jax.numpy.asarray(a) for a in samples(work))
        bend = jax.nn.relu if work["activation"] == "relu" else jax.nn.sigmoid

        def loss(params, x, target):
            h = x
            for layer, (w, b) in enumerate(params):
                h = h @ w + b
                h = bend(h) if bends(work, layer) else h
            if work["loss"] == "softmax":
                return optax.softmax_cross_entropy_with_integer_labels(h, target).mean()
            return optax.sigmoid_binary_cross_entropy(h, x).mean()

        def step(params, state, first, inputs, classes, order):
            rows = jax.lax.dynamic_slice_in_dim(order, first, work["batch"])
            slopes = jax.grad(loss)(params, inputs[rows], classes[rows])
            moves, state = rule.update(slopes, state, params)
            return optax.apply_updates(params, moves), state

        step = jax.jit(step, donate_argnums=(0, 1))
        draw = np.random.default_rng(1)
        shapes = zip(work["widths"], work["widths"][1:])
        scaled = lambda m, n: (draw.standard_normal((m, n)) * m**-0.5).astype(np.float32)
        params = [(jax.numpy.asarray(scaled(m, n)), jax.numpy.zeros(n)) for m, n in shapes]
        now, begin = [params, rule.init(params)], begins(work)

        def run():
            for _ in range(work["updates"]):
                now[:] = step(*now, next(begin), inputs, classes, order)
            jax.block_until_ready(now)

        run()  # compiles
        return "jit, donated", lambda: timed(run) / work["updates"]


class SciPy:
    def __init__(self, threads):
        import scipy
        import scipy.linalg

        self.linalg, self.version = scipy.linalg, scipy.__version__

    def eigh(self, work):
        a = np.random.default_rng(0).uniform(-1, 1, (work["order"],) * 2).astype(np.float32)
        a += a.T
        return 'driver="evd"', lambda: timed(lambda: self.linalg.eigh(a, driver="evd"))


def main():
    # Whatever a library prints must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(**what):
        print(json.dumps(what), file=answers, flush=True)

    peers = {"pytorch": PyTorch, "optax": Optax, "scipy": SciPy}
    try:
        global np  # here, so that it is told if it can't be had
        import numpy as np

        peer = peers[sys.argv[1]](int(sys.argv[2]))
    except Exception as error:
        return answer(gap=f"{type(error).__name__}: {error}".splitlines()[0])
    answer(version=peer.version)
    run = None
    for line in sys.stdin:
        ask = json.loads(line)
        try:
            if ask == "run":
                answer(ms=run())
            elif ask == "drop":
                run = None
                answer()
            else:
                work = ask["set"]
                make = getattr(peer, work["kind"], None)
                if make is None:
                    raise Gap("not its kind of work")
                how, run = make(work)
                answer(how=how)
        except Gap as gap:
            answer(gap=str(gap))
        except Exception as error:
            answer(gap=f"{type(error).__name__}: {error}".splitlines()[0])


if __name__ == "__main__":
    main()
