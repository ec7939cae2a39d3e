"""Rows of tables as HTML. By hand, and not by a template: a site has a million cells."""

from html import escape

from markupsafe import Markup

from reports.labels import Style
from reports.svg import marker_path
from reports.tables import Cell, Table


def table_rows(table: Table) -> Markup:
    """Rows of a table's body; every text of theirs is escaped."""
    lines = []
    for row in table.rows:
        first, *others = row
        cells = "".join(map(_data_cell, others))
        lines.append(f'<tr><th scope="row">{_content(first)}</th>{cells}</tr>')
    return Markup("\n".join(lines))  # made of escaped texts


def mark(style: Style) -> Markup:
    """Mark of a method, as it stands in legends and tables."""
    return Markup(  # of our own making
        '<svg class="mark" viewBox="-6 -6 12 12" aria-hidden="true">'
        f'<path fill="{style.color}" d="{marker_path(style)}"/></svg>'
    )


def _data_cell(cell: Cell) -> str:
    kind = cell.kind or ("long" if cell.is_long else "")
    look = f' class="{kind}"' if kind else ""
    value = "" if cell.value is None else f' data-v="{cell.value:.6g}"'
    return f"<td{look}{value}>{_content(cell)}</td>"


def _content(cell: Cell) -> str:
    text = escape(cell.text)
    if cell.href:
        text = f'<a href="{escape(cell.href)}">{text}</a>'
    detail = f" <small>{escape(cell.detail)}</small>" if cell.detail else ""
    before = mark(cell.style) if cell.style else ""
    return f"{before}{cell.picture}{text}{detail}"
