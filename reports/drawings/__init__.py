"""The figures of the report, made from summaries."""

from reports.drawings.bars import bars
from reports.drawings.claim import claim_figure
from reports.drawings.dial import dial_figure, replay_figure
from reports.drawings.errors import error_dots
from reports.drawings.history import history_figure
from reports.drawings.scatter import absolute_scatter, ratio_scatter
from reports.drawings.sweeps import sweep_figures, sweep_text
from reports.drawings.training import training_figures

__all__ = [
    "absolute_scatter",
    "bars",
    "claim_figure",
    "dial_figure",
    "error_dots",
    "history_figure",
    "ratio_scatter",
    "replay_figure",
    "sweep_figures",
    "sweep_text",
    "training_figures",
]
