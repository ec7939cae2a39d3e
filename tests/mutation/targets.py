"""Which modules are broken, and the fastest tests that should notice."""

from types import MappingProxyType

TARGETS = MappingProxyType(
    {
        "symadj.tableaus.butcher": ("tests/tableaus",),
        "symadj.tableaus.explicit": ("tests/tableaus/test_explicit_conditions.py",),
        "symadj.tableaus.implicit": ("tests/tableaus/test_implicit_conditions.py",),
        "symadj.forward.step": ("tests/forward/test_step.py",),
        "symadj.forward.controller": ("tests/forward/test_controller.py",),
        "symadj.adjoint.step": ("tests/adjoint/test_step.py", "tests/adjoint/test_sweep.py"),
        "symadj.adjoint.cotangents": ("tests/adjoint/test_step.py",),
        "symadj.adjoint.replay": ("tests/adjoint/test_replay.py",),
        "symadj.adjoint.binomial": ("tests/adjoint/test_binomial.py",),
        "symadj.adjoint.reversal": ("tests/adjoint/test_reversal.py",),
        "symadj.adjoint.thinning": ("tests/adjoint/test_thinning.py",),
        "symadj.adjoint.schedule": ("tests/adjoint/test_schedule.py",),
    }
)
