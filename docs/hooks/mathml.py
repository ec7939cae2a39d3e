"""Formulas become MathML when the site is built: browsers draw it without a script."""

import html
import re
from typing import Any

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError

# What arithmatex, in its generic form, makes of $...$ and $$...$$.
FORMULA = re.compile(
    r'<(span|div) class="arithmatex">\s*\\([(\[])(.*?)\\[)\]]\s*</\1>', flags=re.DOTALL
)


def on_page_content(page_html: str, page: Any, **_: Any) -> str:
    """Replace every formula of a page.

    Raises
    ------
    PluginError
        If one holds a command that the converter does not know.
    """

    def as_mathml(match: re.Match[str]) -> str:
        tag, opening, formula = match.groups()
        display = "block" if opening == "[" else "inline"
        mathml: str = convert(html.unescape(formula), display=display)
        unknown = re.search(r"\\[A-Za-z]+", mathml)
        if unknown:
            raise PluginError(
                f"{page.file.src_uri}: {unknown[0]} in {formula!r} is not known to latex2mathml: "
                f"write it otherwise."
            )
        return f'<{tag} class="formula">{mathml}</{tag}>'

    return FORMULA.sub(as_mathml, page_html)
