"""One update of Adam's CIFAR-10 network (figure 3) in PyTorch: forward, backward, Adam; ms.

Beside `cargo bench -p opt-bench --bench conv`, which does the same. Called with the environment of
`cargo xtask bench --peers`: target/peers-venv/bin/python benches/peers/conv.py [THREADS]
"""

import resource
import statistics
import sys
import time

import torch
from torch import nn

torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
torch.manual_seed(0)


def maps(below, above):
    return [nn.Conv2d(below, above, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)]


net = nn.Sequential(
    *maps(3, 64), *maps(64, 64), *maps(64, 128),
    nn.Flatten(), nn.Linear(1152, 1000), nn.ReLU(), nn.Linear(1000, 10),
)
loss = nn.CrossEntropyLoss()
classes = torch.randint(0, 10, (128,))
for name, layout in [("contiguous", torch.contiguous_format), ("channels last", torch.channels_last)]:
    net = net.to(memory_format=layout)
    update = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    images = torch.randn(128, 3, 32, 32).to(memory_format=layout)
    times = []
    for _ in range(13):
        begin = time.perf_counter()
        update.zero_grad()
        loss(net(images), classes).backward()
        update.step()
        times.append(1e3 * (time.perf_counter() - begin))
    print(f"PyTorch {torch.__version__}, {name}: {statistics.median(times[3:]):.1f} ms")
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"greatest resident memory: {memory:.0f} MiB")
