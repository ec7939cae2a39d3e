"""Where the label of a point goes, so that it touches no other point or label."""

from collections.abc import Sequence
from dataclasses import dataclass

# Nominal panel and letters, in pixels: the narrowest that a page shows. What fits here fits there.
PANEL_WIDTH, PANEL_HEIGHT = 250.0, 210.0
_LETTER_WIDTH, _LINE_HEIGHT = 6.6, 14.0
_MARKER = 6.0
_GAP = 9.0

POSITIONS = (
    "middle right",
    "middle left",
    "top center",
    "bottom center",
    "top right",
    "bottom right",
    "top left",
    "bottom left",
)


@dataclass(frozen=True)
class Box:
    """A rectangle, in nominal pixels."""

    left: float
    bottom: float
    right: float
    top: float

    def overlaps(self, other: "Box") -> bool:
        """Whether the two share any area."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.bottom < other.top
            and other.bottom < self.top
        )

    @property
    def is_inside(self) -> bool:
        """Whether the panel holds all of it."""
        return (
            self.left >= 0
            and self.bottom >= 0
            and self.right <= PANEL_WIDTH
            and self.top <= PANEL_HEIGHT
        )


def place(
    points: Sequence[tuple[float, float]],
    labels: Sequence[str],
    positions: Sequence[str] = POSITIONS,
    whiskers: Sequence[tuple[float, float]] = (),
    fixed: Sequence[str] = (),
) -> list[str]:
    """Choose a position for each label.

    Parameters
    ----------
    points : sequence of (float, float)
        Points as fractions of the panel, from its lower left corner.
    labels : sequence of str
        Text for each point; empty for none.
    positions : sequence of str
        What may be chosen, the best first.
    whiskers : sequence of (float, float)
        Horizontal interval of each point, as fractions of the panel; labels keep off them too.
    fixed : sequence of str
        Position of each label that has one already, else ""; it keeps it.

    Returns
    -------
    list of str
        A position for each label, or "" where none is free: the legend names that point.
    """
    centers = [(x * PANEL_WIDTH, y * PANEL_HEIGHT) for x, y in points]
    taken = [Box(x - _MARKER, y - _MARKER, x + _MARKER, y + _MARKER) for x, y in centers]
    taken += [
        Box(low * PANEL_WIDTH - _MARKER, y - 2, high * PANEL_WIDTH + _MARKER, y + 2)
        for (low, high), (_, y) in zip(whiskers, centers, strict=bool(whiskers))
    ]
    fixed = fixed or [""] * len(labels)
    taken += [
        _label_box(x, y, label, position)
        for (x, y), label, position in zip(centers, labels, fixed, strict=True)
        if position
    ]
    chosen = []
    for (x, y), label, position in zip(centers, labels, fixed, strict=True):
        spot = position
        for candidate in positions if label and not position else ():
            box = _label_box(x, y, label, candidate)
            if box.is_inside and not any(box.overlaps(other) for other in taken):
                spot = candidate
                taken.append(box)
                break
        chosen.append(spot)
    return chosen


def _label_box(x: float, y: float, label: str, position: str) -> Box:
    width = len(label) * _LETTER_WIDTH
    vertical, horizontal = position.split()
    left = {"right": x + _GAP, "left": x - _GAP - width, "center": x - width / 2}[horizontal]
    bottom = {
        "top": y + _GAP - 3,
        "bottom": y - _GAP + 3 - _LINE_HEIGHT,
        "middle": y - _LINE_HEIGHT / 2,
    }[vertical]
    return Box(left, bottom, left + width, bottom + _LINE_HEIGHT)
