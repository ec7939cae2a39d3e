"""The convolutional ODE-Net as a classifier of real digits; its block and its head are trained."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...problems import ProblemInstance
from ...problems.digits import digits
from ...problems.odenet import (
    GAIN,
    ODENET,
    ConvolutionalBlock,
    PooledCrossEntropy,
    make_stem,
    stem_input,
)
from .held_out import split
from .task import Task, TaskData, chosen_samples, generator_of


def make(network: str, batch_size: int, seed: int) -> TaskData:
    """Make the classifier of channels such as ``"16"``."""
    num_channels = int(network)
    train, train_labels, held_out, held_out_labels = split(*digits())
    stem = make_stem(num_channels, generator_of(seed, 0))

    def new_loss(labels: Tensor) -> PooledCrossEntropy:
        return PooledCrossEntropy(labels, num_channels, generator_of(seed, 1))

    def instance(trained: nn.Module, images: Tensor, labels: Tensor) -> ProblemInstance:
        loss = new_loss(labels)
        loss.add_module("head", trained.get_submodule("head"))
        return ProblemInstance(
            field=trained.get_submodule("field"),
            y0=stem(stem_input(images)),
            t=torch.tensor([0.0, 1.0], dtype=torch.float64),
            loss=loss,
            batch_size=len(images),
        )

    def batch(trained: nn.Module, iteration: int) -> ProblemInstance:
        chosen = chosen_samples(len(train), batch_size, seed, iteration)
        return instance(trained, train[chosen], train_labels[chosen])

    block = ConvolutionalBlock(num_channels, GAIN, generator_of(seed, 2))
    head = new_loss(train_labels).head.requires_grad_()
    return TaskData(
        trained=nn.ModuleDict({"field": block, "head": head}),
        batch=batch,
        held_out=lambda trained: instance(trained, held_out, held_out_labels),
        num_train=len(train),
        num_held_out=len(held_out),
    )


ODENET_CLASSIFIER = Task(
    name=ODENET.name,
    source=ODENET.source,
    data="real",
    make=make,
    tableau="dopri5",
    learning_rate=0.05,
    first_step=ODENET.first_step,
    tight_rtol=1e-4,
    # Its rectifiers' kinks gain nothing from a higher order, and a tighter tolerance takes minutes.
    evaluation_tableau="dopri5",
    evaluation_rtol=1e-4,
)
