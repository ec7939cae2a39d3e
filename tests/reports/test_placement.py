"""Labels touch neither points nor each other."""

from hypothesis import given
from hypothesis import strategies as st

from reports import placement
from reports.placement import place

FRACTION = st.floats(min_value=0.0, max_value=1.0)


def _box(point, label, position):
    x, y = point[0] * placement.PANEL_WIDTH, point[1] * placement.PANEL_HEIGHT
    return placement._label_box(x, y, label, position)


@given(st.lists(st.tuples(FRACTION, FRACTION), max_size=8))
def test_labels_do_not_overlap(points) -> None:
    labels = [f"method {number}" for number, _ in enumerate(points)]

    positions = place(points, labels)

    placed = [
        _box(point, label, position)
        for point, label, position in zip(points, labels, positions, strict=True)
        if position
    ]
    assert all(box.is_inside for box in placed)
    for number, box in enumerate(placed):
        assert not any(box.overlaps(other) for other in placed[:number])


def test_a_free_point_gets_its_label_and_coinciding_ones_do_not_all() -> None:
    assert place([(0.5, 0.5)], ["symadj"]) == ["middle right"]
    crowd = place([(0.5, 0.5)] * 12, ["symadj"] * 12)
    assert "" in crowd
    assert crowd[0] != ""


def test_a_label_keeps_off_whiskers() -> None:
    (position,) = place([(0.5, 0.5)], ["symadj"], whiskers=[(0.3, 0.7)])
    assert position.startswith(("top", "bottom"))


def test_a_fixed_label_keeps_its_place() -> None:
    fixed, free = place([(0.5, 0.5), (0.5, 0.5)], ["one", "two"], fixed=["middle right", ""])
    assert fixed == "middle right"
    assert free not in {"", "middle right"}
