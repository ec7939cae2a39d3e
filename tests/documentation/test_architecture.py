"""The page and the picture of the architecture are held to the imports that there are."""

import re
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
PAGE = re.sub(
    r"```.*?```",
    "",
    (ROOT / "docs/architecture.md").read_text(encoding="utf-8"),
    flags=re.DOTALL,
)
PICTURE = ET.parse(ROOT / "docs/architecture.svg").getroot()
SVG = "{http://www.w3.org/2000/svg}"
PACKAGES = ("symadj", "benchmarks", "reports")


def subpackages(package):
    """Folders of a package that hold code."""
    folders = (folder for folder in (ROOT / package).iterdir() if folder.is_dir())
    return {folder.name for folder in folders if any(folder.glob("*.py"))}


def modules(package):
    return {file.stem for file in (ROOT / package).glob("[!_]*.py")} | subpackages(package)


TO_BE_NAMED = {
    *(f"symadj.{name}" for name in modules("symadj")),
    *(f"{package}.{name}" for package in PACKAGES[1:] for name in subpackages(package)),
}
"""Modules that the picture and the page have to name."""

DRAWN = {
    text.get("id"): float(text.get("y"))
    for text in PICTURE.iter(f"{SVG}text")
    if text.get("class") == "module"
}


def top(module):
    return ".".join(module.split(".")[:2])


@pytest.fixture(scope="module")
def imports():
    """Pairs of a module, or subpackage, and another that it imports."""
    graph = grimp.build_graph(*PACKAGES)
    return {
        (top(importer), top(imported))
        for importer in graph.modules
        for imported in graph.find_modules_directly_imported_by(importer)
        if top(importer) != top(imported)
    }


def test_every_module_is_drawn_and_named():
    assert TO_BE_NAMED
    assert set(DRAWN) >= TO_BE_NAMED
    named = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", PAGE))))
    assert {name for name in TO_BE_NAMED if name.rpartition(".")[2] not in named} == set()


def test_what_is_drawn_is_there():
    for name in DRAWN:
        package, _, module = name.partition(".")
        assert module in modules(package), name


def test_imports_point_downwards(imports):
    within = {
        (importer, imported)
        for importer, imported in imports
        if importer in DRAWN and imported in DRAWN and importer[:6] == imported[:6]
    }
    assert len(within) > 50
    assert {pair for pair in within if DRAWN[pair[0]] >= DRAWN[pair[1]]} == set()


def test_between_packages_there_are_the_arrows_that_are_drawn(imports):
    arrows = {
        (path.get("data-from"), path.get("data-to"))
        for path in PICTURE.iter(f"{SVG}path")
        if path.get("data-from")
    }
    between = {
        (importer, imported.partition(".")[0])
        for importer, imported in imports
        if importer.partition(".")[0] != imported.partition(".")[0]
    }
    assert arrows == between


def test_each_way_is_told_in_the_order_of_its_numbers():
    numbers = [int(number) for number in re.findall(r"^\| (\d+) \|", PAGE, flags=re.MULTILINE)]
    assert numbers.count(1) == 2
    assert all(second in (1, first + 1) for first, second in pairwise(numbers))


def test_every_file_and_test_that_is_named_is_there():
    named = re.findall(r"`((?:symadj|benchmarks|reports|tests|docs)/[\w./]+)`", PAGE)
    assert len(named) > 40
    made = {"reports/site"}  # by `make site`
    assert [name for name in named if not (ROOT / name).exists() and name not in made] == []
