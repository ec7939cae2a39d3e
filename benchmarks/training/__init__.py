"""Training with each gradient method: held-out loss against wall time and against evaluations.

Each module needs only what stands before it: tasks, curves, trainer, store, turns, command.
"""
