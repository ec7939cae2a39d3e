"""The page that tells which method to use, measured or carried over."""

import statistics

from reports.choose import BUDGETS, STAGES, Offer, budget_table, code_of, offers, prediction_factors
from reports.drawings import absolute_scatter
from reports.formats import format_ratio
from reports.pages.site import Site
from reports.svg import marker_path

_MOST_OFFERS = 700  # some 200 letters each: a page has to stay small
_ROOM = 60_000


def choose_page(site: Site) -> None:
    """Write it."""
    summary = site.summary
    factors = prediction_factors(summary)
    found = [offer for item in summary.comparisons for offer in offers(item)]
    shown, dropped = found[:_MOST_OFFERS], len(found[_MOST_OFFERS:])
    site.render(
        "choose.html",
        "choose.html",
        table=budget_table(summary, dict(site.problem_pages)),
        budgets=BUDGETS,
        accuracy=(
            f"Each configuration, predicted from the nearest other one of its problem, is off by "
            f"a factor of {format_ratio(statistics.median(factors))} in the median, "
            f"{format_ratio(factors[len(factors) * 9 // 10])} in one of ten and "
            f"{format_ratio(factors[-1])} at most ({len(factors)} predictions)."
            if factors
            else "No problem has two configurations here, so the law could not be checked."
        ),
        figures=site.figures_within(
            (absolute_scatter(summary, summary.headline(problem)) for problem in summary.work[:6]),
            _ROOM,
        ),
        dropped=dropped,
        data={
            "stages": STAGES,
            "problems": {p: site.problem(p).name for p in summary.problems},
            "looks": {offer.row.label: _look_data(offer) for offer in shown},
            "offers": [_offer_data(offer) for offer in shown],
        },
        devices=[
            (shown.run, f"{site.root}{folder + '/' if folder else ''}", folder == site.folder)
            for shown, folder in site.places
        ],
    )


def _offer_data(offer: Offer) -> dict[str, object]:
    """What the page's script needs of a method on a configuration."""
    row, place = offer.row, offer.place
    return {
        "problem": place.problem,
        "method": row.label,
        "bytes": row.peak_bytes,
        "seconds": row.seconds.value if row.seconds else None,
        "graph": offer.graph_bytes,
        "tableau": place.tableau,
        "size": place.size,
        "steps": place.steps,
        "stages": place.stages,
        "batch": place.batch,
        "width": place.width,
        "nodes": place.nodes,
        "weights": place.weights,
    }


def _look_data(offer: Offer) -> dict[str, object]:
    """What is the same on every configuration of a method."""
    row = offer.row
    kept = row.measurement.case.checkpoints
    return {
        "style": {"color": row.look.style.color, "path": marker_path(row.look.style)},
        "code": code_of(row),
        "exact": row.look.is_exact,
        "law": list(offer.law),
        "checkpoints": kept if isinstance(kept, int) else 0,
    }
