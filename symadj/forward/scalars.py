"""Python's numbers as tensors of shape (), which torch otherwise makes anew in each operation."""

from functools import lru_cache

import torch
from torch import Tensor

from symadj.forward.transforms import outside_transforms


@lru_cache(maxsize=256)
def scalar(number: float, dtype: torch.dtype) -> float | Tensor:
    """Return a number as torch takes it soonest, beside a tensor of a dtype, to the same bits.

    Parameters
    ----------
    number : float
    dtype : torch.dtype

    Returns
    -------
    Tensor, shape (), or float
        The number itself for all dtypes but float32 and float64: with those of fewer digits torch
        calculates in float32, to which a tensor would not be rounded.
    """
    if dtype not in (torch.float32, torch.float64):
        return number
    with outside_transforms():
        return torch.tensor(number, dtype=dtype, device="cpu")
