"""A buffer of the parameters' size lives as long as the backward pass."""

from typing import Any

import torch

from symadj.adjoint.pullback import Pullback

hits = 0
_init = Pullback.__init__


def _planted(self: Pullback, field: Any, params: Any, **kwargs: Any) -> None:
    global hits  # noqa: PLW0603
    hits += 1
    _init(self, field, params, **kwargs)
    self._planted = [torch.zeros_like(param) for param in params]  # type: ignore[attr-defined]


Pullback.__init__ = _planted  # type: ignore[method-assign]
