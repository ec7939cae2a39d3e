"""What README and documentation show runs as it stands, and the commands that they name exist."""

import importlib.util
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks.__main__ import make_parser as benchmarks_parser
from reports.__main__ import make_parser as reports_parser
from symadj import odeint
from symadj.tableaus import TABLEAUS

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = sorted((README, *(ROOT / "docs").rglob("*.md")))
WITH_COMMANDS = (*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "reports/results/README.md")
FENCE = re.compile(r"^( *)```([a-z]*)\n(.*?)^\1```$", flags=re.DOTALL | re.MULTILINE)
LANGUAGES = {"python", "console", "toml"}
"""Those of code blocks: `python` is run, of `console` the commands are looked up."""
PARSERS = {"benchmarks": benchmarks_parser(), "reports": reports_parser()}


def text_of(page):
    return page.read_text(encoding="utf-8")


def name_of(page):
    return page.relative_to(ROOT).as_posix()


def blocks_of(page, language):
    """Code blocks of a page, without the indentation that a list gives them."""
    for indent, found, code in FENCE.findall(text_of(page)):
        if found == language:
            yield re.sub(rf"^{indent}", "", code, flags=re.MULTILINE)


def test_every_block_says_what_it_is():
    for page in PAGES:
        blocks = FENCE.findall(text_of(page))
        assert {language for _, language, _ in blocks} <= LANGUAGES, name_of(page)
        fences = re.findall(r"^ *```", text_of(page), flags=re.MULTILINE)
        assert len(fences) == 2 * len(blocks), name_of(page)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(blocks_of(page, "python"))], ids=name_of
)
def test_the_blocks_of_a_page_run_one_after_the_other(page, monkeypatch):
    module = ModuleType("documentation")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # torch.compile looks it up
    for block in blocks_of(page, "python"):
        exec(compile(block, name_of(page), "exec"), vars(module))


def test_there_are_blocks_to_run():
    assert sum(any(blocks_of(page, "python")) for page in PAGES) > 8


def commands_of(page):
    """Commands in shell blocks, and those between backticks in the text."""
    for block in blocks_of(page, "console"):
        yield from (line[2:] for line in block.splitlines() if line.startswith("$ "))
    for code in re.findall(r"`([^`\n]+)`", FENCE.sub("", text_of(page))):
        if re.match(r"([A-Z_]+=\S+ )*(make|torchrun|\S*python3?) ", code):
            yield code


def words_of(command):
    """The words of a command, without a comment at its end and settings before it."""
    words = shlex.split(command.replace(r"\|", "|"), comments=True)
    while words and re.match(r"[A-Z_]+=", words[0]):
        words.pop(0)
    return words


def targets():
    return set(re.findall(r"^([a-z-]+):", text_of(ROOT / "Makefile"), flags=re.MULTILINE))


def problem_of(words):
    """Return what is wrong with a command, or None."""
    if words[0] == "make":
        named = {word for word in words[1:] if "=" not in word}
        return f"no target {named - targets()}" if named - targets() else None
    if "-m" not in words:
        return None
    module, *arguments = words[words.index("-m") + 1 :]
    if importlib.util.find_spec(module) is None:
        return f"no module {module}"
    if module in PARSERS and arguments:
        try:
            PARSERS[module].parse_args(arguments)
        except SystemExit:
            return f"python -m {module} does not take {arguments}"
    return None


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=name_of)
def test_the_commands_of_a_page_exist(page):
    commands = {command: words_of(command) for command in commands_of(page)}
    problems = {command: problem_of(words) for command, words in commands.items() if words}
    assert {command: problem for command, problem in problems.items() if problem} == {}


def test_commands_are_found_and_wrong_ones_are_seen():
    assert sum(1 for page in WITH_COMMANDS for _ in commands_of(page)) > 40
    assert problem_of(["make", "no-such-target"])
    assert problem_of(["python", "-m", "benchmarking"])
    assert problem_of(["python", "-m", "benchmarks", "rum"])
    assert problem_of(["python", "-m", "reports", "build", "--into", "x"])


def test_pictures_and_links_of_the_readme_are_there():
    links = re.findall(r"\]\(([^)#\s]+)", text_of(README))
    near = [link for link in links if "//" not in link]
    assert near
    assert [link for link in near if not (ROOT / link).exists()] == []


def test_every_method_is_named_where_users_look():
    (listed,) = re.findall(r"\[start:methods] -->(.*?)<!--", text_of(README), flags=re.DOTALL)
    assert set(TABLEAUS) <= set(re.findall(r"`(\w+)`", listed))
    assert set(TABLEAUS) <= set(re.findall(r"\w+", odeint.__doc__ or ""))
