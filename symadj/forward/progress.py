"""A progress bar for long solves: how far time has come."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from symadj.errors import InvalidInputError

try:
    from tqdm.auto import tqdm
except ImportError:  # an extra: the solver itself does without
    tqdm = None


@contextmanager
def progress_bar(times: Sequence[float]) -> Iterator[Callable[[float, float], None]]:
    """Show a bar while the solve goes on; yield what is told of each accepted step.

    Parameters
    ----------
    times : sequence of float
        Initial time and output times; without an output time (an event's solve) the bar has no end.

    Raises
    ------
    InvalidInputError
        If tqdm is not installed.
    """
    if tqdm is None:
        raise InvalidInputError(
            "options['progress'] needs tqdm, which is not installed: pip install tqdm, or leave "
            "the option out."
        )
    span = abs(times[-1] - times[0]) if len(times) > 1 else None
    layout = "{l_bar}{bar}| t = {postfix} [{elapsed}<{remaining}]"
    with tqdm(total=span, bar_format=layout if span else None, desc="solving") as bar:

        def advance(t0: float, h: float) -> None:
            done = abs(t0 + h - times[0])
            bar.set_postfix_str(f"{t0 + h:.4g}, h = {abs(h):.2g}", refresh=False)
            bar.update((done if span is None else min(done, span)) - bar.n)

        yield advance
