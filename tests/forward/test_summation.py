"""The fast sums return torch's own bits, on this machine and with this torch."""

import pytest
import torch

from symadj.forward.slopes import PIECE, SlopeColumns, SlopeRows, make_slopes
from symadj.forward.summation import summation_order
from symadj.forward.weights import Weights
from symadj.tableaus import TABLEAUS

CPU = torch.device("cpu")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("num_terms", range(2, 8))
def test_an_order_is_found_for_the_dtypes_people_use(num_terms, dtype):
    order = summation_order(num_terms, dtype, CPU)
    assert order is not None
    assert sorted(order) == list(range(num_terms))


def test_long_sums_and_other_devices_are_left_to_torch():
    assert summation_order(14, torch.float64, CPU) is None
    assert summation_order(7, torch.float64, torch.device("meta")) is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64, torch.bfloat16])
@pytest.mark.parametrize("method", ["midpoint", "rk4", "bosh3", "dopri5", "dopri8"])
@pytest.mark.parametrize("n", [1, 7, 64, 1000, PIECE - 1, PIECE, 2 * PIECE + 5])
def test_combine_has_the_bits_of_a_product_and_a_sum_over_columns(method, n, dtype):
    tableau = TABLEAUS[method]
    y = torch.randn(n, dtype=dtype)
    weights = Weights(tableau, y)
    weights.scale(0.37)
    slopes = make_slopes(y, weights)
    matrix = torch.randn(n, weights.num_stages + 1, dtype=dtype)
    for i, slope in enumerate(slopes.k):
        slope.copy_(matrix[:, i])
    for row in range(weights.num_stages + 1):
        count = max(row, 1)
        wanted = torch.sum(matrix[:, :count] * weights.rows[row, :count], dim=-1)
        assert torch.equal(slopes.combine(row, count), wanted)


def test_rows_are_used_where_they_can_be_and_columns_elsewhere():
    y = torch.randn(5)
    assert isinstance(make_slopes(y, Weights(TABLEAUS["dopri5"], y)), SlopeRows)
    assert isinstance(make_slopes(y, Weights(TABLEAUS["dopri8"], y)), SlopeColumns)


@pytest.mark.parametrize("method", ["dopri5", "dopri8"])
def test_slopes_that_are_not_finite_can_be_forgotten(method):
    y = torch.randn(9)
    weights = Weights(TABLEAUS[method], y)
    weights.scale(1.0)
    slopes = make_slopes(y, weights)
    for slope in slopes.k:
        slope.fill_(float("nan"))
    slopes.k[0].fill_(1.0)
    slopes.forget()
    assert torch.isfinite(slopes.combine(1, 1)).all()
