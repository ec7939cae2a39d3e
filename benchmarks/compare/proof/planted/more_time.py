"""Every evaluation of f is followed by a busy wait: SHARE of the processor time since the last."""

import time
from typing import Any

from symadj.forward.field import Field

SHARE = 0.0
LONGEST = 0.01  # seconds; longer ago, and the other side had its turn since

hits = 0
_call = Field.__call__
_last = time.process_time()


def _planted(self: Field, t: Any, y: Any) -> Any:
    global hits, _last  # noqa: PLW0603
    hits += 1
    slope = _call(self, t, y)
    now = time.process_time()
    end = now + SHARE * (now - _last) * (now - _last < LONGEST)
    while (_last := time.process_time()) < end:
        pass
    return slope


Field.__call__ = _planted  # type: ignore[method-assign]
