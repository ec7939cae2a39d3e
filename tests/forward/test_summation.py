"""Sums made term by term return torch's own bits, on this machine and with this torch."""

import pytest
import torch

from symadj.forward.slopes import FEW_NUMBERS, SlopeColumns, SlopeRows, make_slopes
from symadj.forward.summation import first_weights, summation_order, weighted_sum, without
from symadj.forward.weights import Weights
from symadj.tableaus import TABLEAUS

CPU = torch.device("cpu")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("num_terms", range(1, 15))
def test_an_order_is_found_for_the_dtypes_people_use(num_terms, dtype):
    order = summation_order(num_terms, dtype, CPU)
    assert order is not None
    assert sorted(i for group in order for i in group) == list(range(num_terms))


def test_other_devices_and_what_adds_in_a_wider_dtype_are_left_to_torch():
    assert summation_order(7, torch.float64, torch.device("meta")) is None
    assert summation_order(7, torch.bfloat16, CPU) is None


def test_the_order_matters():
    """So that it was found, not met by chance."""
    x, w = torch.randn(7, 5000), torch.randn(7)
    columns = (x.T.contiguous() * w).sum(-1)
    order = summation_order(7, torch.float32, CPU)
    forwards = (tuple(range(7)),)

    def summed(order):
        return weighted_sum(x.unbind(), w.tolist(), first_weights(w, order), order)

    assert torch.equal(summed(order), columns)
    assert not torch.equal(summed(forwards), columns)


def test_terms_of_weight_zero_are_left_out():
    assert without(((4,), (0, 1), (2, 3)), frozenset({0, 2, 3})) == ((4,), (1,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64, torch.bfloat16])
@pytest.mark.parametrize("method", ["midpoint", "rk4", "bosh3", "dopri5", "dopri8"])
@pytest.mark.parametrize("n", [1, 7, 64, 1000, 5001])
def test_combine_has_the_bits_of_a_product_and_a_sum_over_columns(method, n, dtype):
    tableau = TABLEAUS[method]
    y = torch.randn(n, dtype=dtype)
    weights = Weights(tableau, y)
    weights.scale(0.37)
    slopes = make_slopes(y, weights)
    matrix = torch.randn(n, weights.num_stages + 1, dtype=dtype)
    for i, slope in enumerate(slopes.k):
        slope.copy_(matrix[:, i])
    s = weights.num_stages
    counts = [*range(s), s]
    if tableau.is_adaptive:
        counts += [s + 1 if tableau.is_fsal else s, s + 1]
    for row, count in enumerate(counts):
        wanted = torch.sum(matrix[:, :count] * weights.rows[row, :count], dim=-1)
        assert torch.equal(slopes.combine(row), wanted)
        if row:
            assert torch.equal(slopes.advance(y, row), y + wanted)


def test_sums_are_made_by_terms_where_they_can_be_and_over_columns_elsewhere():
    large = torch.randn(FEW_NUMBERS + 1)
    kinds = ((large, SlopeRows), (large[1:], SlopeColumns), (large.bfloat16(), SlopeColumns))
    for y, kind in kinds:
        assert isinstance(make_slopes(y, Weights(TABLEAUS["dopri8"], y)), kind)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("method", ["dopri5", "dopri8"])
@pytest.mark.parametrize("n", [9, 999])
def test_slopes_that_were_not_made_yet_may_be_anything(method, dtype, n):
    y = torch.randn(n, dtype=dtype)
    weights = Weights(TABLEAUS[method], y)
    weights.scale(1.0)
    slopes = make_slopes(y, weights)
    for slope in slopes.k:
        slope.fill_(float("nan"))
    slopes.k[0].fill_(1.0)
    assert torch.isfinite(slopes.combine(1)).all()
