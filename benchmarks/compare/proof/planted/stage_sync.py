"""Each evaluation reads its time on the host: on a GPU, that drains the queue."""

from typing import Any

from symadj.forward.field import Field

hits = 0
_call = Field.__call__


def _planted(self: Field, t: Any, y: Any) -> Any:
    global hits  # noqa: PLW0603
    hits += 1
    float(t)
    return _call(self, t, y)


Field.__call__ = _planted  # type: ignore[method-assign]
