"""Every check, in one start of the processes; or those named after the module's name."""

import sys

from tests.distributed import ddp_checks, dtensor_checks, fsdp_checks, memory_checks, steps_checks
from tests.distributed.world import Check, run_checks

BY_TOPIC = {
    "ddp": ddp_checks.CHECKS,
    "fsdp": fsdp_checks.CHECKS,
    "steps": steps_checks.CHECKS,
    "dtensor": dtensor_checks.CHECKS,
    "memory": memory_checks.CHECKS,
}

CHECKS: dict[str, Check] = {
    f"{topic}-{check.__name__}": check for topic, checks in BY_TOPIC.items() for check in checks
}

FOR_MANY = (
    "ddp-gradients_are_those_of_one_process",
    "fsdp-whichever_modules_are_sharded",
    "steps-steps_are_those_of_one_process",
    "steps-gradients_are_those_of_the_whole_batch",
    "dtensor-parameters_may_be_spread",
    "steps-a_rank_that_fails_ends_the_others",
)
"""What is checked with more than two processes."""

if __name__ == "__main__":
    run_checks({name: CHECKS[name] for name in sys.argv[1:] or CHECKS})
