"""Between the state as the caller sees it and the flat vector that is integrated.

Every state is integrated as one vector of length ``n``: the stages of a step are then the rows of
one matrix, and each combination of them is one matrix-vector product.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from symadj.errors import InvalidInputError, InvalidSlopeError, InvalidTypeError
from symadj.layout import Layout, is_spread, local_part
from symadj.types import State


@dataclass(frozen=True, slots=True)
class Packing:
    """The caller's form of a state.

    Attributes
    ----------
    shapes : tuple of torch.Size
        Shape of each part; one part for a state that is a single tensor. Of a DTensor the shape of
        this process's share, which is all that it integrates.
    spec : TreeSpec or None
        How the parts are nested in tuples, lists and dicts; None for a single tensor.
    sizes : list of int
        Number of elements of each part.
    is_tuple : bool
        Whether the state is a tuple of tensors: the usual structure, and looked at often.
    is_plain : bool
        Whether the state is one tensor, all of it here.
    layouts : tuple of Layout, or None
        How the parts are spread over several devices, where they are DTensors.
    """

    shapes: tuple[torch.Size, ...]
    spec: pytree.TreeSpec | None
    sizes: list[int]
    is_tuple: bool
    is_plain: bool
    layouts: tuple[Layout, ...] | None = None

    @staticmethod
    def of(y0: State) -> "Packing":
        """Read the form off an initial state, and check that it can be integrated.

        Raises
        ------
        InvalidTypeError
            If ``y0`` is no tensor or pytree of tensors, or not floating point.
        InvalidInputError
            If ``y0`` has no element, or its parts differ in dtype or device.
        """
        if type(y0) is Tensor and y0.is_floating_point() and y0.numel():
            return _of_tensor(y0.shape)
        parts: list[Any] = [y0]
        spec = None
        if not isinstance(y0, Tensor):
            parts, spec = pytree.tree_flatten(y0)
        for part in parts:
            if not isinstance(part, Tensor):
                raise InvalidTypeError(
                    f"y0 must be a torch.Tensor, or a tuple, list or dict of them, and holds a "
                    f"{type(part).__name__}: pass torch.as_tensor(...) of it."
                )
            if not (part.is_floating_point() or part.is_complex()):
                raise InvalidTypeError(
                    f"y0 must be floating point (or complex), and is {part.dtype}: an integer has "
                    f"no derivative. Pass y0.float() or y0.double()."
                )
        layouts = None
        if any(map(is_spread, parts)):
            layouts = _layouts(parts)
            parts = list(map(local_part, parts))
        if sum(part.numel() for part in parts) == 0:
            raise InvalidInputError(
                f"y0 has no element (shapes {[tuple(part.shape) for part in parts]}): "
                f"there is nothing to integrate. Pass at least one number."
            )
        kinds = {(part.dtype, part.device) for part in parts}
        if len(kinds) > 1:
            raise InvalidInputError(
                f"The parts of y0 must share one dtype and one device, and are "
                f"{sorted(f'{dtype} on {device}' for dtype, device in kinds)}: "
                f"convert them with .to(...)."
            )
        shapes = tuple(part.shape for part in parts)
        return Packing(
            shapes,
            spec,
            sizes=[shape.numel() for shape in shapes],
            is_tuple=type(y0) is tuple and all(isinstance(part, Tensor) for part in y0),
            is_plain=isinstance(y0, Tensor) and layouts is None,
            layouts=layouts,
        )

    @property
    def is_nested(self) -> bool:
        """Whether the caller's state is a structure of tensors rather than one."""
        return self.spec is not None

    def pack(self, y: State) -> Tensor:
        """Flatten a state of this form.

        Parameters
        ----------
        y : pytree of Tensor
            Parts of the shapes ``self.shapes``.

        Returns
        -------
        Tensor, shape (n,)
            A view of ``y`` where that is possible: its numbers lie one after the other.
        """
        parts: Sequence[Tensor] = (y,) if isinstance(y, Tensor) else pytree.tree_leaves(y)
        if self.layouts is not None:
            parts = tuple(map(Layout.share, self.layouts, parts))
        return self.join(parts).contiguous()

    def join(self, parts: Sequence[Tensor]) -> Tensor:
        """Return parts as one vector, shape (n,); a view where one part allows it."""
        if len(parts) == 1:
            return parts[0].reshape(-1)
        return torch.cat([part.reshape(-1) for part in parts])

    def unpack(self, flat: Tensor) -> State:
        """Give a vector, or a stack of vectors, the caller's form.

        Parameters
        ----------
        flat : Tensor, shape (..., n)

        Returns
        -------
        pytree of Tensor
            Views of ``flat``, each of shape ``(..., *shape)``.
        """
        return self.nest(self.split(flat))

    def split(self, flat: Tensor) -> tuple[Tensor, ...]:
        """Return the parts of a vector, or of a stack of them, in their own shapes."""
        if len(self.shapes) == 1:  # a view that may be edited in place, as one of several may not
            if flat.dim() == 1:
                shape = self.shapes[0]  # which torch reads sooner number by number
                return (flat.view(*shape) if shape else flat.view(shape),)
            return (flat.view((*flat.shape[:-1], *self.shapes[0])),)
        leading = flat.shape[:-1]
        return tuple(
            part.view((*leading, *shape))
            for part, shape in zip(torch.split(flat, self.sizes, dim=-1), self.shapes, strict=True)
        )

    def nest(self, parts: tuple[Tensor, ...]) -> State:
        """Give parts the caller's structure."""
        if self.layouts is not None:
            leading = parts[0].ndim - len(self.shapes[0])
            wholes = zip(self.layouts, parts, strict=True)
            parts = tuple(layout.spread(part, leading) for layout, part in wholes)
        if self.spec is None:
            return parts[0]
        return parts if self.is_tuple else pytree.tree_unflatten(parts, self.spec)

    def parts_of(self, tree: Any) -> Sequence[Any]:
        """Return what a structure like the state's holds in the place of each part.

        Raises
        ------
        ValueError
            If it is nested otherwise; a list may stand for a tuple.
        """
        if self.spec is None:
            return (tree,)
        if isinstance(tree, list) and self.spec.type is tuple:
            tree = tuple(tree)
        return self.spec.flatten_up_to(tree)

    def parts_of_slope(self, slope: Any) -> Sequence[Tensor]:
        """Return the parts of what ``f`` returned, after a look at whether they are the state's.

        Raises
        ------
        InvalidSlopeError
            If its structure or its shapes are not those of the state.
        """
        if self.is_plain and isinstance(slope, Tensor) and slope.shape == self.shapes[0]:
            return (slope,)
        is_alike = self.is_tuple and type(slope) is tuple and len(slope) == len(self.shapes)
        if is_alike and all(isinstance(part, Tensor) for part in slope):
            parts: Sequence[Any] = slope
        else:
            try:
                parts = self.parts_of(slope)
            except ValueError:
                raise InvalidSlopeError(
                    f"f must return a structure like that of y0, {_form(self.spec)}, and returned "
                    f"{_form(pytree.tree_structure(slope))}."
                ) from None
        if self.layouts is not None:
            parts = tuple(map(Layout.share, self.layouts, parts))
        for part, shape in zip(parts, self.shapes, strict=True):
            if not isinstance(part, Tensor) or part.shape != shape:
                given = tuple(part.shape) if isinstance(part, Tensor) else type(part).__name__
                raise InvalidSlopeError(
                    f"f must return dy/dt of the state's own shape {tuple(shape)}, and returned "
                    f"{given}: nothing is broadcast here, as the gradient would be summed without "
                    f"a word. Use .expand_as(y) or .reshape(y.shape)."
                )
        return parts


@lru_cache(maxsize=256)
def _of_tensor(shape: torch.Size) -> Packing:
    """Return the form of a state that is one tensor, as most are, all of it here."""
    return Packing((shape,), None, sizes=[shape.numel()], is_tuple=False, is_plain=True)


def _layouts(parts: Sequence[Any]) -> tuple[Layout, ...]:
    if not all(map(is_spread, parts)):
        raise InvalidTypeError(
            "Some parts of y0 are DTensors, and others are not: make all of them DTensors, by "
            "distribute_tensor(part, mesh, [Replicate()]) those that every process holds."
        )
    layouts = tuple(Layout.of(part) for part in parts)
    if any(layout.mesh != layouts[0].mesh for layout in layouts):
        raise InvalidInputError("The parts of y0 are DTensors on different meshes: use one.")
    return layouts


def _form(spec: pytree.TreeSpec | None) -> str:
    """Say how something is nested, as Python writes it: ``(*, {'v': *})``."""
    count = 0 if spec is None else spec.num_leaves
    return repr(pytree.tree_unflatten([_Star()] * count, spec)) if spec is not None else "*"


class _Star:
    """Stands for a tensor in a message."""

    def __repr__(self) -> str:
        return "*"
