"""The fields in JAX: the same numbers from the same parameters, tested equal to the torch ones.

A twin is a function ``(parameters, t, y) -> dy/dt`` of the parameters and buffers by their names
in the torch module. JAX itself is handed in, since most processes do without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from ..problems.cnf.concatsquash import ConcatSquashVelocity
from ..problems.cnf.hutchinson import HutchinsonFlow
from ..problems.cnf.stacked import StackedField
from ..problems.energy_field import EnergyField, central_difference, second_difference
from ..problems.hamiltonian import HamiltonianField
from ..problems.latent_ode import LatentField
from ..problems.networks import Mlp, TimeMlp
from ..problems.robertson import KineticField
from ..problems.spiral import CubicField
from .method import NotOfferedError

Arrays = Mapping[str, Any]
Twin = Callable[[Arrays, Any, Any], Any]


def jax_twin(jax: Any, field: nn.Module, prefix: str = "") -> Twin:
    """Return the twin of a field.

    Parameters
    ----------
    jax : module
        JAX.
    field : torch.nn.Module
        Only its structure is looked at, not its numbers.
    prefix : str
        Where the field's parameters are among the whole field's, with a dot at its end.

    Raises
    ------
    NotOfferedError
        If this kind of field has none.
    """
    make = TWINS.get(type(field))
    if make is None:
        raise NotOfferedError(f"the field {type(field).__name__} has no twin in JAX")
    return make(jax, field, prefix)


def _affine(arrays: Arrays, name: str, x: Any) -> Any:
    y = x @ arrays[f"{name}.weight"].T
    return y + arrays[f"{name}.bias"] if f"{name}.bias" in arrays else y


def _time_mlp(jax: Any, field: TimeMlp, prefix: str) -> Twin:
    names = [f"{prefix}layers.{i}" for i in range(len(field.layers))]

    def slope(arrays: Arrays, t: Any, y: Any) -> Any:
        hidden = _affine(arrays, names[0], y) + t * arrays[f"{prefix}time_weight"]
        for name in names[1:]:
            hidden = _affine(arrays, name, jax.numpy.tanh(hidden))
        return hidden

    return slope


def _mlp(jax: Any, network: Mlp, prefix: str) -> Callable[[Arrays, Any], Any]:
    activations: dict[type[nn.Module], Callable[[Any], Any]] = {
        nn.Tanh: jax.numpy.tanh,
        nn.ELU: jax.nn.elu,
        nn.GELU: lambda x: jax.nn.gelu(x, approximate=False),
        nn.Softplus: jax.nn.softplus,
    }
    parts = [
        (f"{prefix}layers.{i}", activations.get(type(layer)))
        for i, layer in enumerate(network.layers)
    ]

    def outputs(arrays: Arrays, x: Any) -> Any:
        for name, activation in parts:
            x = _affine(arrays, name, x) if activation is None else activation(x)
        return x

    return outputs


def _cubic(jax: Any, field: CubicField, prefix: str) -> Twin:
    network = _mlp(jax, field.network, f"{prefix}network.")
    return lambda arrays, t, y: network(arrays, y**3)


def _latent(jax: Any, field: LatentField, prefix: str) -> Twin:
    network = _mlp(jax, field.network, f"{prefix}network.")
    return lambda arrays, t, z: network(arrays, z)


def _hamiltonian(jax: Any, field: HamiltonianField, prefix: str) -> Twin:
    network = _mlp(jax, field.network, f"{prefix}network.")
    gradient = jax.grad(lambda states, arrays: network(arrays, states).sum())

    def slope(arrays: Arrays, t: Any, states: Any) -> Any:
        of_q, of_p = jax.numpy.moveaxis(gradient(states, arrays), -1, 0)
        return jax.numpy.stack((of_p, -of_q), axis=-1)

    return slope


def _energy(jax: Any, field: EnergyField, prefix: str) -> Twin:
    numpy, spacing = jax.numpy, field.spacing

    def energy(u: Any, arrays: Arrays) -> Any:
        around = numpy.stack((numpy.roll(u, 1, -1), u, numpy.roll(u, -1, -1)), axis=-1)
        hidden = numpy.tanh(_affine(arrays, f"{prefix}convolution", around))
        hidden = numpy.tanh(_affine(arrays, f"{prefix}mixing", hidden))
        return _affine(arrays, f"{prefix}readout", hidden).sum()

    operators: dict[Any, Callable[[Any], Any]] = {
        central_difference: lambda u: (
            (numpy.roll(u, -1, -1) - numpy.roll(u, 1, -1)) / (2 * spacing)
        ),
        second_difference: lambda u: (
            (numpy.roll(u, -1, -1) - 2 * u + numpy.roll(u, 1, -1)) / spacing**2
        ),
    }
    operator, gradient = operators[field.operator], jax.grad(energy)
    return lambda arrays, t, u: operator(gradient(u, arrays))


def _kinetics(jax: Any, field: KineticField, prefix: str) -> Twin:
    numpy = jax.numpy
    network = _mlp(jax, field.correction, f"{prefix}correction.")

    def slope(arrays: Arrays, t: Any, u: Any) -> Any:
        scales = arrays[f"{prefix}scales"]
        rates = numpy.exp(arrays[f"{prefix}log_rates"] + network(arrays, u))
        y1, y2, y3 = numpy.moveaxis(scales * u, -1, 0)
        reactions = rates * numpy.stack((y1, y2**2, y2 * y3), axis=-1)
        return reactions @ arrays[f"{prefix}stoichiometry"].T / scales

    return slope


def _concat_squash(jax: Any, field: ConcatSquashVelocity, prefix: str) -> Twin:
    activations = {nn.Tanh: jax.numpy.tanh, nn.Softplus: jax.nn.softplus}
    activation = activations[type(field.activation)]
    names = [f"{prefix}layers.{i}" for i in range(len(field.layers))]

    def layer(arrays: Arrays, name: str, t: Any, x: Any) -> Any:
        time = t.reshape(1, 1)
        gate = jax.nn.sigmoid(_affine(arrays, f"{name}.gate", time))
        return _affine(arrays, f"{name}.linear", x) * gate + _affine(arrays, f"{name}.shift", time)

    def slope(arrays: Arrays, t: Any, x: Any) -> Any:
        hidden = layer(arrays, names[0], t, x)
        for name in names[1:]:
            hidden = layer(arrays, name, t, activation(hidden))
        return hidden

    return slope


def _hutchinson(jax: Any, field: HutchinsonFlow, prefix: str) -> Twin:
    velocity = jax_twin(jax, field.velocity, f"{prefix}velocity.")

    def slope(arrays: Arrays, t: Any, state: Any) -> Any:
        noise = arrays[f"{prefix}noise"]
        dx, pull = jax.vjp(lambda x: velocity(arrays, t, x), state[0])
        return dx, -(pull(noise)[0] * noise).sum(-1)

    return slope


def _stacked(jax: Any, field: StackedField, prefix: str) -> Twin:
    blocks = [jax_twin(jax, block, f"{prefix}blocks.{m}.") for m, block in enumerate(field.blocks)]

    def slope(arrays: Arrays, t: Any, state: Any) -> Any:
        m = jax.numpy.clip(t.astype("int32"), 0, len(blocks) - 1)
        within = t - m.astype(t.dtype)
        branches = [lambda t, y, block=block: block(arrays, t, y) for block in blocks]
        return jax.lax.switch(m, branches, within, state)

    return slope


TWINS: dict[type[nn.Module], Callable[[Any, Any, str], Twin]] = {
    TimeMlp: _time_mlp,
    CubicField: _cubic,
    LatentField: _latent,
    HamiltonianField: _hamiltonian,
    EnergyField: _energy,
    KineticField: _kinetics,
    ConcatSquashVelocity: _concat_squash,
    HutchinsonFlow: _hutchinson,
    StackedField: _stacked,
}
