"""The conditions of a run: what must be the same for an earlier result to count as this one's."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from ..environment import counts_instructions, selected_device, selected_size
from ..methods.foreign import METHODS_VARIABLE
from ..provenance import surroundings
from .code_state import CodeState, code_state, foreign_code

Conditions = Mapping[str, object]


def conditions(root: Path) -> dict[str, object]:
    """Return the conditions under which the tree at ``root`` would be measured now."""
    return conditions_of(code_state(root))


def conditions_of(code: CodeState) -> dict[str, object]:
    """Return the conditions under which this machine would measure some code now."""
    return {
        "commit": code.commit,
        "code": code.digest,
        "is_dirty": code.is_dirty,
        "size": selected_size(),
        "device": selected_device().type,
        "counts_instructions": counts_instructions(),
        "num_cpu": os.cpu_count(),
        "foreign_methods": foreign_code(os.environ.get(METHODS_VARIABLE, "")),
    } | surroundings()


def folder_name(given: Conditions) -> str:
    """Return a name that no other conditions have."""
    text = json.dumps(given, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return f"{given['size']}-{given['device']}-{str(given['commit'])[:8]}-{digest}"


def machine_name(given: Conditions) -> str:
    """Return what the machine is, as a folder can be named: its GPU, or its CPU and cores."""
    name = given["gpu"] or f"{given['cpu']} {given['num_cpu']} cores"
    return re.sub(r"[^A-Za-z0-9.]+", "-", str(name)).strip("-")
