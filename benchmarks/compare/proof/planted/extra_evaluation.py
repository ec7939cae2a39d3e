"""One more evaluation of f in each step, as where a slope is forgotten and made again."""

import inspect
from typing import Any

from symadj.forward import solve

hits = 0
_module: Any = solve
_take_step = _module.rk_step
_signature = inspect.signature(_take_step)


def _planted(*args: Any, **kwargs: Any) -> Any:
    global hits  # noqa: PLW0603
    hits += 1
    given = _signature.bind(*args, **kwargs).arguments
    given["field"](given["times"][0], given["y"])
    return _take_step(*args, **kwargs)


_module.rk_step = _planted
