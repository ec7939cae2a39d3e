"""The rate constants of a stiff reaction, from concentrations over eight decades of time.

What it shows: Robertson's reactions (1966), whose rates differ by nine orders of magnitude. An
explicit method would take millions of steps to the end of the data; an implicit one takes some
eighty, and its gradient is just as exact. The data are synthetic: the same equations, with 2 % of
noise. Three constants are fitted, from guesses that are off by factors of 3 to 5.

It takes about 20 seconds. One should see the loss fall to what the noise leaves, all rates
recovered to about a per cent, and the steps that an explicit method takes to a thousandth of the
way.

    python examples/stiff_chemistry.py [--output picture.png] [--quick]
"""

import argparse

import matplotlib.pyplot as plt
import torch
from torch import nn

from symadj import solve

TRUE_RATES = torch.tensor([0.04, 3e7, 1e4], dtype=torch.float64)  # 1/s
GUESS = TRUE_RATES * torch.tensor([3.0, 0.2, 4.0], dtype=torch.float64)
START = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)  # mole fractions of A, B, C
OTHER_START = torch.tensor([0.5, 0.0, 0.5], dtype=torch.float64)
NOISE = 0.02  # of each fraction


class Robertson(nn.Module):
    """A -> B (slow), 2 B -> B + C (very fast), B + C -> A + C (fast)."""

    def __init__(self, rates):
        super().__init__()
        self.logs = nn.Parameter(rates.log())  # a step is then a percentage of each rate

    def forward(self, t, state):
        a, b, c = state
        slow, very_fast, fast = self.logs.exp() * torch.stack([a, b * b, b * c])
        return torch.stack([fast - slow, slow - very_fast - fast, very_fast])


def fractions(reaction, times, start=START, method="radauIIA5"):
    """Return mole fractions, shape (times, 3), and what the solve cost."""
    times = torch.cat([torch.zeros(1, dtype=torch.float64), times])
    solution = solve(reaction, start, times, method=method, rtol=1e-5, atol=1e-9)
    return solution.ys[1:], solution.stats


def draw(output, times, observed, reactions, losses):
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.5), width_ratios=[1.5, 1])
    fine = torch.logspace(-4, times[-1].log10().item(), 150, dtype=torch.float64)
    styles = {"truth": ("0.8", "-", 5), "first guess": ("0.5", ":", 1), "fitted": (None, "-", 1.5)}
    scale = torch.tensor([1.0, 1e4, 1.0], dtype=torch.float64)  # B is never more than 4e-5
    for label, reaction in reactions.items():
        color, style, width = styles[label]
        with torch.no_grad():
            curves = scale * fractions(reaction, fine)[0]
        for k, own in enumerate(("tab:blue", "tab:orange", "tab:green")):
            left.plot(fine, curves[:, k], style, color=color or own, linewidth=width)
            if label == "fitted":
                name = ("A", "B × 10⁴", "C")[k]
                left.plot(
                    times, scale[k] * observed[:, k], "o", color=own, markersize=4, label=name
                )
    left.plot([], [], color="0.8", linewidth=5, label="truth")
    left.plot([], [], color="0.5", linestyle=":", label="first guess")
    left.set(xscale="log", xlabel="time [s]", ylabel="mole fraction")
    left.set_title("synthetic data (dots) and fit (lines)")
    left.legend()
    right.semilogy(range(1, len(losses) + 1), [100 * loss**0.5 for loss in losses], "o-")
    right.minorticks_off()
    right.set_yticks([2, 5, 10, 20, 50], labels=[2, 5, 10, 20, 50])
    right.axhline(100 * NOISE, color="0.5", linestyle="--")
    right.text(1, 100 * NOISE, "noise", va="bottom", color="0.4")
    right.set(xlabel="evaluation of loss and gradient", ylabel="error of fractions, RMS [%]")
    figure.tight_layout()
    figure.savefig(output, dpi=100)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", default="stiff_chemistry.png")
    parser.add_argument("--quick", action="store_true", help="fewer data: some seconds")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    last, count, explicit_end = (2, 9, 0.5) if arguments.quick else (4, 25, 10.0)
    times = torch.logspace(-4, last, count, dtype=torch.float64)

    truth, guess, reaction = Robertson(TRUE_RATES), Robertson(GUESS), Robertson(GUESS)
    with torch.no_grad():
        exact, implicit = fractions(truth, times)
        end = torch.tensor([explicit_end], dtype=torch.float64)
        _, explicit = fractions(truth, end, method="dopri5")
    print(f"radauIIA5: {implicit.num_accepted} steps to {times[-1]:g} s")
    print(f"dopri5: {explicit.num_accepted} steps to {explicit_end:g} s")
    observed = exact * (1 + NOISE * torch.randn_like(exact))

    losses = []
    optimizer = torch.optim.LBFGS(reaction.parameters(), line_search_fn="strong_wolfe")

    def evaluate():
        computed, _ = fractions(reaction, times)
        loss = (computed / observed).log().square().mean()
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.item())
        print(f"evaluation {len(losses):2}  loss {losses[-1]:.3e}")
        return loss

    optimizer.step(evaluate)

    for name, rate, true in zip("123", reaction.logs.exp().tolist(), TRUE_RATES, strict=True):
        print(f"rate {name}: {rate:.4g} 1/s, true {true:.4g} 1/s, off by {rate / true - 1:+.1%}")
    with torch.no_grad():
        ours, theirs = (fractions(r, times, OTHER_START)[0] for r in (reaction, truth))
    worst = (ours / theirs - 1).abs().max().item()
    print(f"check: from another start, fractions are predicted to {worst:.1%} (noise {NOISE:.0%})")
    reactions = {"truth": truth, "first guess": guess, "fitted": reaction}
    draw(arguments.output, times, observed, reactions, losses)


if __name__ == "__main__":
    main()
