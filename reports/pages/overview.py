"""The first page: the claim in one figure, answers to what people come for, what changed."""

from reports.changes import LESS, MORE, UNDECIDED, broken, changes
from reports.choose import BUDGETS, ladder, offers
from reports.digest import badge_svg, summary_markdown
from reports.drawings import claim_figure, ratio_scatter
from reports.findings import findings, plural, verdict
from reports.formats import format_bytes, format_change, format_ratio, meter
from reports.pages.compare import TABLEAUS, VERSIONS
from reports.pages.site import Site
from reports.tables import matrix_table

_MOST_FIGURES = 12
_ROOM = 95_000
_LISTED = 3


def overview_page(site: Site) -> None:
    """Write it."""
    summary = site.summary
    headlines = [summary.headline(problem) for problem in summary.work]
    drawn = [figure for item in headlines if (figure := ratio_scatter(summary, item)) is not None]
    claim = claim_figure(summary)
    shown = site.figures_within(drawn[:_MOST_FIGURES], _ROOM)
    site.files["badge.svg"] = badge_svg(summary)
    site.files["summary.md"] = summary_markdown(summary, site.previous)
    site.render(
        "overview.html",
        "index.html",
        verdict=verdict(summary),
        findings=findings(summary),
        questions=[_budget(site), _slower(site), _tableau(site)],
        claim=site.figure(claim) if claim else None,
        ratios=shown,
        num_more=len(drawn) - len(shown),
        table=matrix_table(summary, dict(site.problem_pages)),
        command=site.command(summary.work),
    )


def _budget(site: Site) -> tuple[str, str, str]:
    """Question, answer, page: which method for a budget."""
    question = "Which method fits my memory?"
    budget = BUDGETS[1]
    summary = site.summary
    heaviest = max(
        (summary.headline(problem) for problem in summary.work),
        key=lambda item: item.base.peak_bytes or 0.0 if item.base else 0.0,
    )
    rungs = ladder(offers(heaviest), budget)
    if not rungs:
        return question, "No memory was measured here that could be carried over.", "choose.html"
    name = site.problem(heaviest.configuration.problem).name
    text = "; ".join(f"{rung.offer.row.label} {rung.text}" for rung in rungs)
    return (
        question,
        f"For {name} within {format_bytes(budget)}, the fastest exact method: {text}. "
        "Other problems, sizes and budgets:",
        "choose.html",
    )


def _slower(site: Site) -> tuple[str, str, str]:
    """Question, answer, page: what moved since the previous version."""
    question = "What got slower since the previous version?"
    href = f"compare.html#{VERSIONS}"
    before = site.previous
    if before is None:
        return question, "Only one commit has been measured on this machine.", href
    found = changes(before.run, site.run)
    worse = [item for item in found if item.verdict == MORE]
    better = [item for item in found if item.verdict == LESS]
    unclear = [item for item in found if item.verdict == UNDECIDED]
    slower = [item for item in worse if item.meter == "wall_ratio"]
    failed = broken(before.run, site.run)
    parts = [
        f"Against {before.name}: {plural(len(slower), 'case')} slower",
        f"{plural(len(worse) - len(slower), 'other figure')} worse",
        f"{len(better)} better",
        f"{plural(len(failed), 'new failure')}",
        f"{len(unclear)} not told apart, of {len(found)} compared.",
    ]
    text = ", ".join(parts)
    if worse:
        listed = "; ".join(
            f"{meter(item.meter).label} of {item.case.method} on "
            f"{site.problem(item.case.configuration.problem).name} {format_change(item.ratio)}"
            for item in (slower or worse)[:_LISTED]
        )
        text += f" Largest: {listed}."
    return question, text, href


def _tableau(site: Site) -> tuple[str, str, str]:
    """Question, answer, page: what one tableau costs over another."""
    question = "What does dopri8 cost over dopri5?"
    href = f"compare.html#{TABLEAUS}"
    pairs = [
        pair for pair in site.tableau_pairs if "dopri8" in pair.heads[2].text and pair.one.seconds
    ]
    pair = next((p for p in pairs if p.one.method == "symadj"), next(iter(pairs), None))
    if pair is None or pair.other.seconds is None or pair.one.seconds is None:
        return question, "Not measured in this run. What was measured of other tableaus:", href
    text = f"{format_ratio(pair.other.seconds.value / pair.one.seconds.value)} the time of dopri5"
    if pair.one.peak_bytes and pair.other.peak_bytes:
        text += f" and {format_ratio(pair.other.peak_bytes / pair.one.peak_bytes)} its peak memory"
    return question, f"{text} ({pair.one.label}, {pair.heads[0].text}). Every method:", href
