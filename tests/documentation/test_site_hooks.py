"""The documentation's site needs no network, and no script for its formulas."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest

exceptions = pytest.importorskip("mkdocs.exceptions", reason="the extra `docs` is not installed")
pytest.importorskip("latex2mathml", reason="the extra `docs` is not installed")

HOOKS = Path(__file__).parents[2] / "docs" / "hooks"


def hook(name):
    spec = importlib.util.spec_from_file_location(name, HOOKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


mathml, offline = hook("mathml"), hook("offline")


@pytest.mark.parametrize(
    "loads",
    [
        '<script src="https://example.org/x.js"></script>',
        '<script src="//example.org/x.js"></script>',
        '<link rel="stylesheet" href="https://example.org/x.css">',
        '<img src="HTTP://example.org/x.png">',
        '<p style="background: url(https://example.org/x.png)">',
        "<style>@import 'https://example.org/x.css';</style>",
        "<style>@font-face { src: url(//example.org/x.woff2) }</style>",
    ],
)
def test_what_a_page_loads_from_elsewhere_ends_the_build(tmp_path, loads):
    (tmp_path / "page.html").write_text(f"<html>{loads}</html>", encoding="utf-8")
    with pytest.raises(exceptions.PluginError, match=r"page\.html.*example\.org"):
        offline.on_post_build(SimpleNamespace(site_dir=tmp_path))


def test_a_style_is_looked_at_too(tmp_path):
    (tmp_path / "page.css").write_text("a { src: url('https://example.org/x') }", encoding="utf-8")
    with pytest.raises(exceptions.PluginError, match=r"page\.css"):
        offline.on_post_build(SimpleNamespace(site_dir=tmp_path))


def test_links_and_what_is_near_are_left_alone(tmp_path):
    page = '<a href="https://example.org">x</a><script src="x.js"></script><img src="a/b.png">'
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    offline.on_post_build(SimpleNamespace(site_dir=tmp_path))


PAGE = SimpleNamespace(file=SimpleNamespace(src_uri="page.md"))


def test_formulas_become_mathml():
    page = (
        r'<p><span class="arithmatex">\(a_{ij} &lt; 1\)</span></p>'
        '<div class="arithmatex">\\[\n\\sum_i b_i\n\\]</div>'
    )
    made = mathml.on_page_content(page, PAGE)
    assert made.count("<math") == 2
    assert 'display="block"' in made
    assert "arithmatex" not in made
    assert "<msub>" in made


def test_a_command_that_is_not_known_ends_the_build():
    page = r'<span class="arithmatex">\(\nosuchcommand x\)</span>'
    with pytest.raises(exceptions.PluginError, match=r"page\.md.*nosuchcommand"):
        mathml.on_page_content(page, PAGE)
