"""Which cases there are at each scale of work.

    smoke     seconds each  every problem, as small as it gets: does it run?
    quick     8 minutes     a few problems, small: what ``make report`` runs
    standard  an hour       every problem, most with the published network and a smaller batch
    full      a night       published batches too, the whole axis of checkpoints

A night on one core cannot have all published batches: those of BSDS300 (10,000) and MNIST (200)
are cut to what takes minutes a gradient.
"""

from __future__ import annotations

from .cases import ADAPTIVE, SizeSet, Sweep
from .environment import selected_size
from .methods import BASELINE, BASIC, BASIC_PEERS, DIAL, ON_REQUEST
from .timing import Effort

_DOPRI5 = (("dopri5", ADAPTIVE),)
_DOPRI8 = (("dopri8", ADAPTIVE),)
_ORDERS = (
    ("heun2", 40),
    ("rk4", 40),
    ("bosh3", ADAPTIVE),
    ("dopri5", ADAPTIVE),
    ("dopri8", ADAPTIVE),
)

# A few settings that tell the shape of the curve in half a minute: one costs about four seconds.
_FEW = tuple(kept for kept in DIAL if kept in {4, 16} or isinstance(kept, str))


def _dial(
    size: str, steps: tuple[int, ...], checkpoints: tuple[str | int, ...], effort: Effort
) -> Sweep:
    """Cost against the number of checkpoints, the other methods beside it."""
    return Sweep(
        tuple(("rk4", count) for count in steps),
        (size,),
        methods=("symadj",),
        checkpoints=checkpoints,
        others=BASIC_PEERS,
        effort=effort,
    )


def _axes(
    orders: tuple[tuple[str, str | int], ...],
    sizes: tuple[str, ...],
    steps: tuple[int, ...],
    size: str,
    methods: tuple[str, ...] | None,
    others: tuple[str, ...] = (),
) -> dict[str, Sweep]:
    """The MLP along the axes: order of the tableau, network, number of steps, what is kept."""
    return {
        "mlp-order": Sweep(orders, (size,), methods),
        "mlp-size": Sweep(_DOPRI5, sizes, methods, others=others),
        "mlp-steps": Sweep(tuple(("rk4", count) for count in steps), (size,), methods),
    }


def _overhead(*sizes: str, others: tuple[str, ...] = ON_REQUEST) -> Sweep:
    """What symadj costs above its floor, whatever is kept, and with compiled steps."""
    schemes = (*_DOPRI5, *_DOPRI8)
    kept = ("states", "stages", "activations")
    return Sweep(schemes, sizes, methods=("symadj",), checkpoints=kept, others=others)


def _kept(size: str) -> Sweep:
    return Sweep(_DOPRI5, (size,), methods=("symadj",), checkpoints=("states", "stages"))


QUICK = SizeSet(
    Effort(min_rounds=5, max_rounds=21, seconds=1.5),
    {
        "digits-classifier": Sweep(_DOPRI5, ("64-128-128-64 batch 128",)),
        "digits-cnf": Sweep(_DOPRI5, ("64-64-64-64 batch 100",)),
        "kdv": Sweep(_DOPRI8, ("64 points 16 channels batch 8",)),
        "cnf-miniboone": Sweep(_DOPRI5, ("1 x 43-172-172-43 batch 50",), BASIC),
        "spiral": Sweep(_DOPRI5, ("2-50-2 batch 20",), BASIC),
        **_axes(
            _ORDERS,
            (
                "2-50-2 batch 20",
                "64-64-64-64 batch 256",
                "784-256-256-784 batch 16",
                "43-256-256-43 batch 500",
            ),
            (10, 20, 40, 80),
            "64-64-64-64 batch 128",
            BASIC,
        ),
        "mlp-checkpoints": _kept("64-64-64-64 batch 256"),
        "mlp-overhead": _overhead(
            "2-50-2 batch 20", "64-64-64-64 batch 256", "784-256-256-784 batch 16"
        ),
        "kdv-checkpoints": _dial(
            "64 points 2 channels batch 32", (50,), _FEW, Effort(3, 3, seconds=0.0)
        ),
    },
)

# The cited problems run with the two methods that tell whether they work: a case costs seconds.
_TELLING = ("symadj", BASELINE)

SMOKE = SizeSet(
    Effort(min_rounds=1, max_rounds=1, seconds=0.0),
    {
        "digits-classifier": Sweep(_DOPRI5, ("64-8-64 batch 4",)),
        "digits-cnf": Sweep(_DOPRI5, ("64-8-64 batch 4",)),
        "kdv": Sweep(_DOPRI8, ("16 points 2 channels batch 2",)),
        "cnf-power": Sweep(_DOPRI5, ("2 x 6-12-6 batch 4",), _TELLING),
        "cnf-gas": Sweep(_DOPRI5, ("2 x 8-12-8 batch 4",), _TELLING),
        "cnf-hepmass": Sweep(_DOPRI5, ("2 x 21-12-21 batch 4",), _TELLING),
        "cnf-miniboone": Sweep(_DOPRI5, ("1 x 43-20-43 batch 4",), _TELLING),
        "cnf-bsds300": Sweep(_DOPRI5, ("2 x 63-20-63 batch 4",), _TELLING),
        "cnf-mnist": Sweep(_DOPRI5, ("8 pixels 1 x 4 batch 3",), _TELLING),
        "cahn-hilliard": Sweep(_DOPRI8, ("16 points 4 channels batch 3",), _TELLING),
        "odenet": Sweep(_DOPRI5, ("2 channels batch 2",), _TELLING),
        "latent-ode": Sweep(_DOPRI5, ("4-8-4 batch 5",), _TELLING),
        "hamiltonian-spring": Sweep(_DOPRI5, ("8-8 batch 4",), _TELLING),
        "hamiltonian-pendulum": Sweep(_DOPRI5, ("8-8 batch 4",), _TELLING),
        "robertson": Sweep(_DOPRI5, ("3-5-3 batch 1",), _TELLING),
        "spiral": Sweep(_DOPRI5, ("2-10-2 batch 5",), _TELLING),
        **_axes(
            tuple((tableau, 8 if isinstance(steps, int) else steps) for tableau, steps in _ORDERS),
            ("2-4-2 batch 4", "2-8-2 batch 4", "4-8-4 batch 4", "4-16-4 batch 4"),
            (2, 3, 4, 5),
            "2-8-2 batch 4",
            BASIC,
        ),
        "mlp-checkpoints": _kept("2-8-2 batch 4"),
        # A compiler takes longer than all else that is run at this size.
        "mlp-overhead": _overhead("2-8-2 batch 4", others=()),
        "kdv-checkpoints": _dial(
            "16 points 2 channels batch 2", (5,), _FEW, Effort(1, 1, seconds=0.0)
        ),
    },
)

_FEW_ROUNDS = Effort(min_rounds=3, max_rounds=11, seconds=20.0)

STANDARD = SizeSet(
    Effort(min_rounds=7, max_rounds=41, seconds=6.0),
    {
        "digits-classifier": QUICK.sweeps["digits-classifier"],
        "digits-cnf": QUICK.sweeps["digits-cnf"],
        "kdv": QUICK.sweeps["kdv"],
        "cnf-power": Sweep(_DOPRI5, ("5 x 6-60-60-60-6 batch 100",), effort=_FEW_ROUNDS),
        "cnf-gas": Sweep(_DOPRI5, ("5 x 8-160-160-160-8 batch 100",), effort=_FEW_ROUNDS),
        "cnf-hepmass": Sweep(_DOPRI5, ("10 x 21-210-210-21 batch 100",), effort=_FEW_ROUNDS),
        "cnf-miniboone": Sweep(_DOPRI5, ("1 x 43-860-860-43 batch 100",), effort=_FEW_ROUNDS),
        "cnf-bsds300": Sweep(_DOPRI5, ("2 x 63-1260-1260-1260-63 batch 20",), effort=_FEW_ROUNDS),
        "cnf-mnist": Sweep(_DOPRI5, ("28 pixels 2 x 64-64-64 batch 2",), effort=_FEW_ROUNDS),
        "cahn-hilliard": Sweep(_DOPRI8, ("50 points 50 channels batch 8",), effort=_FEW_ROUNDS),
        "odenet": Sweep(_DOPRI5, ("16 channels batch 32",), effort=_FEW_ROUNDS),
        "latent-ode": Sweep(_DOPRI5, ("4-20-20-4 batch 100",), effort=_FEW_ROUNDS),
        "hamiltonian-spring": Sweep(_DOPRI5, ("200-200 batch 25",), effort=_FEW_ROUNDS),
        "hamiltonian-pendulum": Sweep(_DOPRI5, ("200-200 batch 25",), effort=_FEW_ROUNDS),
        "robertson": Sweep(_DOPRI5, ("3-5-5-5-5-5-5-3 batch 1",), effort=_FEW_ROUNDS),
        "spiral": Sweep(_DOPRI5, ("2-50-2 batch 20",)),
        **_axes(
            _ORDERS,
            (*QUICK.sweeps["mlp-size"].sizes, "43-860-860-43 batch 100"),
            (10, 20, 40, 80, 160, 320),
            "64-64-64-64 batch 128",
            None,
            others=ON_REQUEST,
        ),
        "mlp-checkpoints": QUICK.sweeps["mlp-checkpoints"],
        "mlp-overhead": _overhead(*QUICK.sweeps["mlp-overhead"].sizes, "43-860-860-43 batch 1000"),
        "kdv-checkpoints": _dial(
            "64 points 2 channels batch 32",
            (50, 200),
            tuple(DIAL),
            Effort(min_rounds=3, max_rounds=11, seconds=20.0, max_replayed_steps=1_500),
        ),
    },
    timeout_seconds=2 * 3600.0,
)

_ONE_ROUND = Effort(min_rounds=1, max_rounds=3, seconds=60.0)

# One checkpoint over 500 steps, and one or two over 5,000, are left out, as they would replay up
# to 12.5 million steps.
FULL = SizeSet(
    Effort(min_rounds=11, max_rounds=41, seconds=12.0),
    {
        **STANDARD.sweeps,
        "cnf-power": Sweep(_DOPRI5, ("5 x 6-60-60-60-6 batch 10000",), effort=_ONE_ROUND),
        "cnf-gas": Sweep(_DOPRI5, ("5 x 8-160-160-160-8 batch 1000",), effort=_ONE_ROUND),
        "cnf-hepmass": Sweep(_DOPRI5, ("10 x 21-210-210-21 batch 10000",), effort=_ONE_ROUND),
        "cnf-miniboone": Sweep(_DOPRI5, ("1 x 43-860-860-43 batch 1000",), effort=_ONE_ROUND),
        "cnf-bsds300": Sweep(_DOPRI5, ("2 x 63-1260-1260-1260-63 batch 500",), effort=_ONE_ROUND),
        "cnf-mnist": Sweep(_DOPRI5, ("28 pixels 2 x 64-64-64 batch 20",), effort=_ONE_ROUND),
        "cahn-hilliard": Sweep(_DOPRI8, ("50 points 200 channels batch 200",), effort=_ONE_ROUND),
        "odenet": Sweep(_DOPRI5, ("64 channels batch 128",), effort=_ONE_ROUND),
        "latent-ode": Sweep(_DOPRI5, ("4-20-20-4 batch 1000",), effort=_FEW_ROUNDS),
        "kdv-checkpoints": _dial(
            "64 points 2 channels batch 32",
            (50, 500, 5_000),
            tuple(DIAL),
            Effort(min_rounds=3, max_rounds=21, seconds=30.0, max_replayed_steps=100_000),
        ),
    },
    timeout_seconds=12 * 3600.0,
)

SIZE_SETS = {"smoke": SMOKE, "quick": QUICK, "standard": STANDARD, "full": FULL}


def selected_size_set() -> SizeSet:
    """Return the size set that the environment asks for."""
    return SIZE_SETS[selected_size()]
