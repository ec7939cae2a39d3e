"""A bouncing ball: gravity and restitution, from the times at which its bounces are heard.

What it shows: `odeint_event` ends a solve where an event happens, and the *time* of the event has a
gradient, through all bounces before it. First that gradient is compared with the formula that there
is for a ball without drag; then two constants of a ball with drag, for which there is no formula,
are fitted to the times of eight bounces. The times are synthetic, with noise of 1 ms.

It takes about 10 seconds. One should see both gradients agree to eight digits or more, the loss
fall to what the noise leaves, and bounces predicted that were not heard.

    python examples/bouncing_ball.py [--output picture.png] [--quick]
"""

import argparse
from itertools import pairwise

import matplotlib.pyplot as plt
import torch
from torch import nn

from symadj import odeint, odeint_event

HEIGHT = torch.tensor(2.0, dtype=torch.float64)  # m, from which the ball is dropped
DRAG = 0.03  # 1/m, known
NOISE = 1e-3  # s


class Ball(nn.Module):
    """A ball in the air, and what the ground does to it."""

    def __init__(self, gravity, restitution, drag=DRAG):
        super().__init__()
        # Both are positive, so their logarithms are what is learned: a step is a percentage.
        self.logs = nn.Parameter(torch.tensor([gravity, restitution], dtype=torch.float64).log())
        self.drag = drag

    def forward(self, t, state):
        _, velocity = state
        gravity, _ = self.logs.exp()
        return velocity, -gravity - self.drag * velocity * velocity.abs()

    def flights(self, num_bounces):
        """Return the time and state at which each fall and each rise begins, in turn."""
        _, restitution = self.logs.exp()
        t, state = torch.zeros_like(HEIGHT), (HEIGHT, torch.zeros_like(HEIGHT))
        flights = [(t, state)]
        for _ in range(num_bounces):
            # It falls until its height is zero, is thrown back, ...
            t, (heights, velocities) = odeint_event(self, state, t, event_fn=lambda t, y: y[0])
            state = heights[-1], -restitution * velocities[-1]
            flights.append((t, state))
            # ... and rises until its velocity is zero. (If one looked for height zero here, one
            # would find it at once: this is where the rise begins.)
            t, (heights, velocities) = odeint_event(self, state, t, event_fn=lambda t, y: y[1])
            state = heights[-1], velocities[-1]
            flights.append((t, state))
        return flights

    def bounce_times(self, num_bounces):
        return torch.stack([t for t, _ in self.flights(num_bounces)[1::2]])


def compare_with_formula(gravity=9.81, restitution=0.85, num_bounces=5):
    """Without drag, t = sqrt(2 h / g) (1 + 2 e + 2 e² + ...): its derivatives, twice."""
    ball = Ball(gravity, restitution, drag=0.0)
    (by_logs,) = torch.autograd.grad(ball.bounce_times(num_bounces)[-1], ball.logs)
    computed = by_logs / ball.logs.exp()
    e = torch.arange(num_bounces, dtype=torch.float64)
    fall = (2 * HEIGHT / gravity).sqrt()
    time = fall * (2 * (restitution**e).sum() - 1)
    exact = [-time / (2 * gravity), fall * 2 * (e[1:] * restitution ** (e[1:] - 1)).sum()]
    print(f"gradient of the time of bounce {num_bounces}, no drag")
    for name, ours, formula in zip(("gravity", "restitution"), computed, exact, strict=True):
        error = abs(ours / formula - 1).item()
        print(f"  {name:12} odeint_event {ours:.10f}  formula {formula:.10f}  off by {error:.0e}")


def curve(ball, num_bounces):
    """Return times and heights, to draw."""
    with torch.no_grad():
        flights, times, heights = ball.flights(num_bounces), [], []
        for (start, state), (end, _) in pairwise(flights):
            times.append(torch.linspace(start.item(), end.item(), 30, dtype=torch.float64))
            heights.append(odeint(ball, state, times[-1])[0])
        return torch.cat(times), torch.cat(heights)


def draw(output, truth, guess, fitted, heard, num_bounces, losses):
    figure, (above, below) = plt.subplots(2, 1, figsize=(8, 6), height_ratios=[2, 1])
    above.plot(*curve(truth, num_bounces), color="0.75", linewidth=5, label="truth")
    above.plot(*curve(guess, num_bounces), color="tab:orange", linestyle=":", label="first guess")
    above.plot(*curve(fitted, num_bounces), color="tab:blue", label="fitted")
    above.plot(heard, torch.zeros_like(heard), "k^", label="bounces heard", clip_on=False, zorder=3)
    above.axvspan(heard[-1], heard[-1] + 9, color="0.95", label="not heard")
    above.set(xlabel="time [s]", ylabel="height [m]", xlim=(0, 6.6), ylim=(0, None))
    above.legend(loc="upper right")
    below.semilogy(
        range(1, 1 + len(losses)), [1e3 * loss**0.5 for loss in losses], color="tab:blue"
    )
    below.axhline(1e3 * NOISE, color="0.5", linestyle="--")
    below.text(1, 1e3 * NOISE, "noise", color="0.4", va="bottom")
    below.set(xlabel="evaluation of loss and gradient", ylabel="error of bounce\ntimes, RMS [ms]")
    figure.tight_layout()
    figure.savefig(output, dpi=100)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", default="bouncing_ball.png")
    parser.add_argument("--quick", action="store_true", help="fewer bounces: two seconds")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    num_heard, num_later = (2, 1) if arguments.quick else (8, 4)

    compare_with_formula()
    truth, guess, ball = Ball(9.81, 0.85), Ball(7.0, 0.75), Ball(7.0, 0.75)
    times = truth.bounce_times(num_heard + num_later).detach()
    heard = times[:num_heard] + NOISE * torch.randn(num_heard, dtype=torch.float64)
    losses = []
    optimizer = torch.optim.LBFGS(ball.parameters(), line_search_fn="strong_wolfe")

    def evaluate():
        loss = (ball.bounce_times(num_heard) - heard).square().mean()
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.item())
        print(f"evaluation {len(losses):2}  loss {losses[-1]:.3e} s²")
        return loss

    optimizer.step(evaluate)
    gravity, restitution = ball.logs.exp().tolist()
    error = (ball.bounce_times(len(times))[num_heard:] - times[num_heard:]).abs().max().item()
    print(f"gravity {gravity:.3f} m/s² (true 9.81), restitution {restitution:.4f} (true 0.85)")
    print(f"check: bounces not heard are predicted to {1e3 * error:.1f} ms (noise 1 ms)")
    draw(arguments.output, truth, guess, ball, heard, len(times), losses)


if __name__ == "__main__":
    main()
