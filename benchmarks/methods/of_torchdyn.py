"""torchdyn: backpropagation through its own steps.

Its numerical half only, which needs neither Lightning nor torchvision: installed with all that it
declares, it would bring another torch. It chooses its first step itself, cuts a step at every
output, and measures the error over the whole state, so that its steps are its own. Its adjoints
are parts of a Lightning module, and not compared.
"""

from __future__ import annotations

from torch import Tensor, nn

from ..discretization import Discretization
from ..problems import State
from .flat import FlatState
from .method import Method, NotOfferedError
from .output_grid import grid_of_outputs
from .packages import TORCHDYN, load
from .pieces import piece_by_piece

ADAPTIVE = {"dopri5": "dopri5", "tsit5": "tsit5"}
FIXED = {"euler": "euler", "midpoint": "midpoint"}  # its rk4 is the classical one


def _backprop(field: nn.Module, y0: State, t: Tensor, how: Discretization) -> State:
    numerics = load(TORCHDYN)
    is_fixed = "step_size" in how.options
    names = FIXED if is_fixed else ADAPTIVE
    if how.tableau not in names:
        raise NotOfferedError(f"torchdyn has no {how.tableau} here; it has {', '.join(names)}")
    if "perturb" in how.options:
        raise NotOfferedError("torchdyn looks at one side of a jump only")
    flat = FlatState.of(y0)
    start = flat.flatten(y0)
    times, rows = grid_of_outputs(t, how) if is_fixed else (t, list(range(len(t))))
    tolerances = {} if is_fixed else {"rtol": how.rtol, "atol": how.atol}
    # the time has the state's dtype: it steps on in whichever is the finer
    _, ys = numerics.odeint(
        flat.field(field), start, times.to(start.dtype), names[how.tableau], **tolerances
    )
    return flat.unflatten(ys[rows])


METHODS = (Method("torchdyn", piece_by_piece(_backprop), takes_same_steps=False),)
