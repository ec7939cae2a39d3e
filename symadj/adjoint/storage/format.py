"""What the states of a solve look like, and in which precision they are kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from symadj.errors import InvalidInputError

COARSER_DTYPES: Mapping[torch.dtype, tuple[torch.dtype, ...]] = MappingProxyType(
    {
        torch.float64: (torch.float32, torch.bfloat16),
        torch.float32: (torch.bfloat16,),
        torch.complex128: (torch.complex64,),
    }
)
"""As what a state may be kept beside its own dtype.

Not float16: it ends at 65504, and an infinity made here would only be seen in the gradient. Not a
real dtype for a complex state: half of it would be lost.
"""


@dataclass(frozen=True, slots=True)
class StateFormat:
    """What all states of a solve have in common.

    Attributes
    ----------
    num_elements : int
        n.
    dtype : torch.dtype
        That of the solve, in which a state is given back.
    device : torch.device
        That of the solve, on which a state is given back.
    kept_dtype : torch.dtype
        That in which it is kept.
    """

    num_elements: int
    dtype: torch.dtype
    device: torch.device
    kept_dtype: torch.dtype

    @staticmethod
    def of(like: Tensor, kept_dtype: torch.dtype | None = None) -> "StateFormat":
        """Read the format from one state.

        Parameters
        ----------
        like : Tensor, shape (n,)
        kept_dtype : torch.dtype, optional
            A coarser one, for less memory; the state's own unless given. What is given back is then
            rounded, by a relative 2⁻²⁴ (float32, complex64) or 2⁻⁸ (bfloat16) at the most, and the
            gradient is no longer exact. What is beyond 3.4e38 becomes infinite.

        Raises
        ------
        InvalidInputError
            If it is no flat state of floating point or complex numbers, or cannot be kept so.
        """
        if like.dim() != 1 or not (like.is_floating_point() or like.is_complex()):
            raise InvalidInputError(
                f"A state of shape {tuple(like.shape)} and dtype {like.dtype} was given. Allowed "
                f"are flat states, shape (n,), of floating point or complex numbers."
            )
        kept_dtype = like.dtype if kept_dtype is None else kept_dtype
        allowed = (like.dtype, *COARSER_DTYPES.get(like.dtype, ()))
        if kept_dtype not in allowed:
            raise InvalidInputError(
                f"dtype={kept_dtype} was given to keep states of {like.dtype} in. Allowed are "
                f"{', '.join(map(str, allowed))}; None keeps them as they are."
            )
        return StateFormat(like.numel(), like.dtype, like.device, kept_dtype)

    @property
    def nbytes(self) -> int:
        """Bytes of one state as it is kept."""
        return self.num_elements * self.kept_dtype.itemsize

    def check(self, state: Tensor) -> None:
        """Refuse a state of another format: it might not fit its place.

        Raises
        ------
        InvalidInputError
            If shape, dtype or device differ.
        """
        given = (tuple(state.shape), state.dtype, state.device)
        expected = ((self.num_elements,), self.dtype, self.device)
        if given != expected:
            raise InvalidInputError(
                f"A state of shape {given[0]}, {given[1]}, on {given[2]} was given to a store that "
                f"was made for shape {expected[0]}, {expected[1]}, on {expected[2]}. All states of "
                f"a solve are alike: make a store for each solve."
            )
