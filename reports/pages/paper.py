"""The paper's claims and table beside what was measured here."""

from reports.drawings import sweep_figures, sweep_text
from reports.pages.site import Site
from reports.paper import TITLE, claims, cost_table
from reports.sweeps import sweeps

_MOST = 1  # of each kind
_ROOM = 80_000
_EXPERIMENTS = (
    ("Continuous normalizing flows", ("cnf-", "digits-cnf")),
    ("Physical systems by learned energies", ("kdv", "cahn-hilliard")),
)


def paper_page(site: Site) -> None:
    """Write it."""
    summary = site.summary
    growth = [
        (
            title,
            [
                (sweep_text(s), drawn)
                for s in found
                if (drawn := site.figures_within(sweep_figures(summary, s)[:2], _ROOM))
            ],
        )
        for title, axis in (
            ("Memory and time over the number of steps N", "steps"),
            ("Memory and time over the order of the tableau", "tableau"),
        )
        if (found := sweeps(summary, axis)[:_MOST])
    ]
    site.render(
        "paper.html",
        "paper.html",
        title=TITLE,
        claims=claims(summary),
        table=cost_table(summary),
        growth=growth,
        experiments=[
            (title, [p for p in summary.problems if p.startswith(prefixes)])
            for title, prefixes in _EXPERIMENTS
        ],
        command=site.command(summary.problems),
    )
