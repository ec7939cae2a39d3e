"""Slopes pass through float32, as by a buffer that was made without a dtype."""

from typing import Any

from symadj.forward.field import Field

hits = 0
_call = Field.__call__


def _planted(self: Field, t: Any, y: Any) -> Any:
    global hits  # noqa: PLW0603
    hits += 1
    slope = _call(self, t, y)
    return slope.float().to(slope.dtype)


Field.__call__ = _planted  # type: ignore[method-assign]
