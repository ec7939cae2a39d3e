"""One training under several memory budgets: the same losses, at another price.

What it shows: `memory_budget` takes the fastest plan that fits a limit, and no plan changes the
gradient. A neural ODE that classifies the digits of scikit-learn (real data) is trained by plain
backpropagation, and by symadj under four limits. For each, the peak memory of one iteration is
measured by memray, and the time of an iteration by the clock of the process.

It takes about 60 seconds. One should see the plan taken under each limit, every peak below its
limit, more time where there is less memory, and the losses of all plans equal to the last digit.

    python examples/memory_budget.py [--output picture.png] [--quick]
"""

import argparse
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import memray
import torch
from sklearn.datasets import load_digits
from torch import nn

from symadj import errors, solve

NUM_STEPS, BATCH, WIDTH, NUM_TRAIN, MIB = 32, 128, 128, 1500, 2**20
TIMES = torch.tensor([0.0, 1.0], dtype=torch.float64)
BUDGETS = ["16MiB", "8MiB", "4MiB", "2MiB"]


class Classifier(nn.Module):
    """An ODE in the space of images, and a linear layer that reads the class where it ends."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(64, WIDTH), nn.Tanh(), nn.Linear(WIDTH, 64))
        self.head = nn.Linear(64, 10)
        self.plan = None

    def velocity(self, t, y):
        return self.net(y)

    def forward(self, images, budget):
        if budget is None:
            return self.head(self.backpropagated(images))
        solution = solve(
            self.velocity,
            images,
            TIMES,
            method="rk4_classic",
            options={"step_size": 1 / NUM_STEPS},
            memory_budget=budget,
        )
        self.plan = solution.plan
        return self.head(solution.ys[-1])

    def backpropagated(self, y):
        """Take the same steps in the graph of autograd, which keeps all of them."""
        h = 1 / NUM_STEPS
        for _ in range(NUM_STEPS):
            k1 = self.net(y)
            k2 = self.net(y + h / 2 * k1)
            k3 = self.net(y + h / 2 * k2)
            k4 = self.net(y + h * k3)
            y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return y


def peak_mib(call):
    """Return the most memory alive during a call, above that at its start."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "memray.bin"
        with memray.Tracker(record, trace_python_allocators=True):
            call()
        return memray.FileReader(record).metadata.peak_memory / MIB


def train(images, classes, num_iterations, budget):
    """Return losses, peak in MiB, CPU seconds an iteration, held-out accuracy, and the plan."""
    torch.manual_seed(0)
    model = Classifier().double()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses, seconds = [], []

    def gradient(batch):
        loss = nn.functional.cross_entropy(model(images[batch], budget), classes[batch])
        optimizer.zero_grad()
        loss.backward()
        return loss.item()

    for _ in range(num_iterations):
        batch = torch.randint(0, NUM_TRAIN, (BATCH,))
        start = time.process_time()
        losses.append(gradient(batch))
        seconds.append(time.process_time() - start)
        optimizer.step()
    peak = peak_mib(lambda: gradient(batch))
    with torch.no_grad():
        guessed = model(images[NUM_TRAIN:], None).argmax(1)
    accuracy = (guessed == classes[NUM_TRAIN:]).double().mean().item()
    return losses, peak, sorted(seconds)[len(seconds) // 2], accuracy, model.plan


def draw(output, runs):
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.5), width_ratios=[1.2, 1])
    for budget, (losses, peak, seconds, _, plan) in runs.items():
        name = f"budget {budget}: {plan.chosen.name}" if plan else "backpropagation"
        (point,) = left.plot(peak, 1e3 * seconds, "o", markersize=9, label=name)
        if plan:
            left.axvline(plan.budget_bytes / MIB, color=point.get_color(), linestyle=":")
        width = 9 if plan is None else 2
        right.plot(losses, color="0.8" if plan is None else point.get_color(), linewidth=width)
    left.set(xscale="log", xlabel="peak memory of an iteration [MiB] (dotted: the budget)")
    left.minorticks_off()
    left.set_xticks([2, 4, 8, 16, 32], labels=[2, 4, 8, 16, 32])
    left.set(ylabel="time of an iteration [CPU ms]", ylim=(0, 1.5 * left.get_ylim()[1]))
    left.legend(loc="upper right", fontsize="small", framealpha=1)
    right.set(xlabel="iteration", ylabel="cross-entropy [nats]", title="all losses, one on another")
    figure.tight_layout()
    figure.savefig(output, dpi=100)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", default="memory_budget.png")
    parser.add_argument("--quick", action="store_true", help="few iterations: some seconds")
    arguments = parser.parse_args()
    digits = load_digits()
    order = torch.randperm(len(digits.data), generator=torch.Generator().manual_seed(0))
    images, classes = torch.tensor(digits.data)[order] / 16, torch.tensor(digits.target)[order]

    runs = {}
    for budget in [None, *BUDGETS]:
        runs[budget] = train(images, classes, 5 if arguments.quick else 60, budget)
        losses, peak, seconds, accuracy, plan = runs[budget]
        print(
            f"{budget or 'backpropagation'}: loss {losses[0]:.4f}, in the end loss {losses[-1]:.4f}"
        )
        print(f"  measured: peak {peak:.1f} MiB, {1e3 * seconds:.0f} ms; accuracy {accuracy:.1%}")
        print(f"  {plan or ''}")
    try:
        train(images, classes, 1, "256KiB")
    except errors.MemoryBudgetError as error:
        print(f"256KiB: {error}")

    first = runs[BUDGETS[0]][0]
    same = all(runs[budget][0] == first for budget in BUDGETS)
    pairs = zip(first, runs[None][0], strict=True)
    print(f"check: the losses of all budgets are equal, bit for bit: {same}")
    print(f"check: from backpropagation they differ by {max(abs(a / b - 1) for a, b in pairs):.0e}")
    within = all(runs[budget][1] * MIB <= runs[budget][4].budget_bytes for budget in BUDGETS)
    print(f"check: every measured peak lies within its budget: {within}")
    draw(arguments.output, runs)


if __name__ == "__main__":
    main()
