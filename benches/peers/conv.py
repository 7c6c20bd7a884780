"""Adam's CIFAR-10 network (figure 3) in PyTorch, for peers.py; and by itself, how much memory it takes:

    target/peers-venv/bin/python benches/peers/conv.py [THREADS]

with the environment of `cargo xtask bench --peers`.
"""

LAYOUTS = ["contiguous", "channels last"]


def prepare(torch, layout, batch):
    """The parameters, and a function that makes an update by an optimizer."""
    nn = torch.nn
    memory = torch.channels_last if layout == "channels last" else torch.contiguous_format

    def maps(below, above):
        return [nn.Conv2d(below, above, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)]

    net = nn.Sequential(
        *maps(3, 64), *maps(64, 64), *maps(64, 128),
        nn.Flatten(), nn.Linear(1152, 1000), nn.ReLU(), nn.Linear(1000, 10),
    ).to(memory_format=memory)
    loss = nn.CrossEntropyLoss()
    classes = torch.randint(0, 10, (batch,))
    images = torch.randn(batch, 3, 32, 32).to(memory_format=memory)

    def update(optimizer):
        optimizer.zero_grad()
        loss(net(images), classes).backward()
        optimizer.step()

    return list(net.parameters()), update


def main():
    import resource
    import sys

    import torch

    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
    for layout in LAYOUTS:
        params, update = prepare(torch, layout, 128)
        adam = torch.optim.Adam(params, lr=1e-3, fused=True)
        for _ in range(10):
            update(adam)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"PyTorch {torch.__version__}: {memory:.0f} MiB at most")


if __name__ == "__main__":
    main()
