"""What a finding is: one sentence, and whom it speaks for."""

from dataclasses import dataclass

GAIN, LOSS, NOTE = "gain", "loss", "note"


@dataclass(frozen=True)
class Finding:
    """One sentence, and whether it speaks for the symplectic adjoint, against it, or neither."""

    kind: str
    text: str
