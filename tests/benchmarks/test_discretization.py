import pytest
import torch

from benchmarks.discretization import adaptive, fixed_grid


def test_jumps_are_told_in_torchdiffeqs_words():
    how = adaptive("dopri5", rtol=1e-3, atol=1e-4, first_step=0.1, jump_t=(1.0, 2.0))
    assert torch.equal(how.options["jump_t"], torch.tensor([1.0, 2.0], dtype=torch.float64))
    grid = fixed_grid("rk4", num_steps=6, duration=3.0, jump_t=(1.0, 2.0))
    assert dict(grid.options) == {"step_size": 0.5, "perturb": True}


def test_where_nothing_jumps_nothing_is_said():
    assert dict(adaptive("dopri5", rtol=1e-3, atol=1e-4, first_step=0.1).options) == {
        "first_step": 0.1
    }
    assert dict(fixed_grid("rk4", num_steps=4, duration=2.0).options) == {"step_size": 0.5}


def test_a_jump_inside_a_step_of_a_grid_is_refused():
    with pytest.raises(ValueError, match="no point at t = 1, where the field jumps"):
        fixed_grid("rk4", num_steps=4, duration=3.0, jump_t=(1.0, 2.0))
    fixed_grid("rk4", num_steps=4, duration=4.0, start=-1.0, jump_t=(1.0, 2.0))
    fixed_grid("rk4", num_steps=9, duration=0.9, start=0.1, jump_t=(0.3, 0.7))
