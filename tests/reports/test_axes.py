"""Axes hold their values and have readable ticks, over any range."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.axes import category_axis, log_axis, zero_axis
from reports.formats import format_bytes, format_power, format_ratio, format_seconds

POSITIVE = st.floats(min_value=1e-15, max_value=1e15)


@given(st.lists(POSITIVE, min_size=1, max_size=8), st.booleans())
def test_a_logarithmic_axis_holds_its_values_and_some_ticks(values, binary) -> None:
    axis = log_axis("bytes", values, format_bytes if binary else format_power, binary=binary)

    assert all(axis.low < value < axis.high for value in values)
    assert all(0 <= axis.fraction(tick) <= 1 for tick, _ in axis.ticks)
    assert 2 <= len(axis.ticks) <= 6
    assert len({text for _, text in axis.ticks}) == len(axis.ticks)


@given(st.lists(POSITIVE, min_size=1, max_size=8))
def test_a_narrow_axis_has_fewer_ticks(values) -> None:
    axis = log_axis("", values, format_power, max_ticks=4)
    assert 2 <= len(axis.ticks) <= 4


@given(st.lists(st.floats(min_value=1e-9, max_value=1e12), max_size=8), st.booleans())
def test_a_linear_axis_starts_at_zero_and_has_room(values, binary) -> None:
    axis = zero_axis("", values, format_bytes if binary else format_seconds)

    assert axis.low == 0
    assert all(value < axis.high for value in values)
    assert axis.ticks[0][0] == 0
    assert 2 <= len(axis.ticks) <= 6


def test_ticks_carry_their_unit() -> None:
    axis = log_axis("", [2e-3, 3.0], format_seconds)
    texts = [text for _, text in axis.ticks]
    assert texts[:2] == ["1 ms", "10 ms"]
    assert texts[-1] == "1 s"

    memory = zero_axis("", [3.5 * 2**20], format_bytes)
    assert [text for _, text in memory.ticks] == ["0 B", "2 MiB"]


def test_the_base_of_a_ratio_is_on_the_axis() -> None:
    axis = log_axis("", [0.05, 0.1], format_ratio, reference=1.0)
    assert axis.high > 1.0
    assert axis.reference == 1.0


def test_fractions_are_logarithmic_where_the_axis_is() -> None:
    axis = log_axis("", [1.0, 100.0], format_ratio, margins=(0.0, 0.0))
    assert axis.fraction(10.0) == pytest.approx(0.5)
    assert math.isclose(category_axis("", ["a", "b"]).fraction(0.5), 0.5)
