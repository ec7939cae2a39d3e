"""The training tasks, by name."""

from __future__ import annotations

from .digits_flow import DIGITS_FLOW
from .kdv_energy import KDV_ENERGY
from .odenet_classifier import ODENET_CLASSIFIER
from .task import Task, TaskData

__all__ = ["TASKS", "Task", "TaskData"]

TASKS: dict[str, Task] = {task.name: task for task in (DIGITS_FLOW, KDV_ENERGY, ODENET_CLASSIFIER)}
"""A flow, a physical system and a classifier."""
