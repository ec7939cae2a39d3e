"""A latent ODE: curves from a few irregular samples, and how they go on.

What it shows: an encoder, an ODE and a decoder that are trained as one. A recurrent network reads
samples of a damped oscillation, taken at irregular times and different ones for each curve, and
says where in a latent space an ODE starts; a decoder reads the curve off its solution (Rubanova,
Chen & Duvenaud, NeurIPS 2019, arXiv:1907.03907; here without the variational part). The data are
synthetic: random frequency, phase and amplitude, and noise.

It takes about 60 seconds. One should see the loss fall, and curves that were not trained on
continued beyond their samples.

    python examples/latent_ode.py [--output picture.png] [--quick]
"""

import argparse
import math

import matplotlib.pyplot as plt
import torch
from torch import nn

from symadj import odeint

TIMES = torch.linspace(0.0, 6.0, 61)  # s
NUM_SEEN = 41  # samples are from the first 4 s; what comes later is to be foretold
SAMPLES, NOISE, LATENT = 15, 0.03, 8


def oscillations(count):
    """Return curves, shape (count, times), noisy ones, and which points of them are samples."""
    amplitude, phase, frequency = torch.rand(3, count, 1)
    angle = 2 * math.pi * (phase + (0.25 + 0.15 * frequency) * TIMES)
    curves = (0.5 + amplitude) * torch.exp(-0.1 * TIMES) * torch.sin(angle)
    seen = torch.zeros(count, len(TIMES), dtype=torch.bool)
    chosen = torch.rand(count, NUM_SEEN).argsort(1)[:, :SAMPLES]
    return curves, curves + NOISE * torch.randn_like(curves), seen.scatter(1, chosen, True)


class LatentODE(nn.Module):
    def __init__(self):
        super().__init__()
        self.reader = nn.GRU(2, 32, batch_first=True)
        self.start = nn.Linear(32, LATENT)
        self.velocity = nn.Sequential(nn.Linear(LATENT, 128), nn.Tanh(), nn.Linear(128, LATENT))
        self.decoder = nn.Linear(LATENT, 1)

    def forward(self, noisy, seen):
        """Return curves, shape (count, times), from their samples alone."""
        times = TIMES.expand_as(noisy)[seen].reshape(-1, SAMPLES)
        samples = torch.stack([noisy[seen].reshape(-1, SAMPLES), times - 2], 2)
        # Read backwards in time, as what is wanted is the state at the beginning.
        _, memory = self.reader(samples.flip(1))
        states = odeint(
            lambda t, z: self.velocity(z),
            self.start(memory[0]),
            TIMES,
            method="rk4_classic",
            options={"step_size": 0.4, "interp": "cubic"},
            checkpoints="stages",
        )
        return self.decoder(states)[..., 0].T


def rms(values):
    return values.square().mean().sqrt().item()


def draw(output, curves, noisy, seen, forecast, losses):
    figure, axes = plt.subplots(2, 3, figsize=(11, 5.5))
    for k, ax in enumerate(axes.flat[:5]):
        ax.axvspan(TIMES[NUM_SEEN - 1], TIMES[-1], color="0.94")
        ax.plot(TIMES, curves[k], color="0.7", linewidth=5, label="truth")
        ax.plot(TIMES, forecast[k], color="tab:blue", label="latent ODE")
        ax.plot(TIMES[seen[k]], noisy[k, seen[k]], "k.", label="samples")
        ax.set(xlabel="time [s]", ylabel="signal", ylim=(-1.6, 1.6))
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper center", ncols=3, title="held-out curves")
    axes[1, 2].semilogy(losses, color="tab:blue")
    axes[1, 2].axhline(NOISE**2, color="0.5", linestyle="--")
    axes[1, 2].text(0, NOISE**2, "noise", va="bottom", color="0.4")
    axes[1, 2].set(xlabel="iteration", ylabel="mean square error")
    figure.tight_layout(rect=(0, 0, 1, 0.9))
    figure.savefig(output, dpi=75)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", default="latent_ode.png")
    parser.add_argument("--quick", action="store_true", help="few iterations: some seconds")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    num_iterations = 60 if arguments.quick else 1000

    # Of the curves to learn from all points are known; the encoder reads the samples alone.
    training, (curves, noisy, seen) = oscillations(2000), oscillations(200)
    model = LatentODE()
    optimizer = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=num_iterations)
    losses = []
    for iteration in range(num_iterations):
        batch = torch.randint(0, 2000, (100,))
        _, target, samples = (tensor[batch] for tensor in training)
        loss = (model(target, samples) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if iteration % (num_iterations // 10) == 0 or iteration == num_iterations - 1:
            print(f"iteration {iteration:4}  loss {losses[-1]:.4f}")

    with torch.no_grad():
        forecast = model(noisy, seen)
    error = forecast - curves
    print(f"check, held-out curves: RMS error {rms(error[:, :NUM_SEEN]):.3f} among the samples,")
    print(f"  {rms(error[:, NUM_SEEN:]):.3f} beyond; of zero: {rms(curves[:, NUM_SEEN:]):.3f}")
    draw(arguments.output, curves, noisy, seen, forecast, losses)


if __name__ == "__main__":
    main()
