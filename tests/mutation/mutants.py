"""Small changes to a module's source, made one at a time."""

import ast
import copy
import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

_OPERATORS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Pow: ast.Mult,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
}

_OF_COEFFICIENTS = {"_exact", "_triangle"}
"""Functions whose strings are numbers."""

SEEN_CHARACTERS = 14
"""Of a number up to 100 the digits within them, sign and point included, change its float64 by more
than `symadj.tableaus.butcher.COEFFICIENT_TOLERANCE`."""

_NOT_ENTERED = {"annotation", "returns", "decorator_list", "bases"}
"""Fields of a node that do nothing when the code runs, or only say what it is."""


class Mutant(NamedTuple):
    """One change to a module.

    Attributes
    ----------
    name : str
        ``where: before -> after``, numbered where that occurs again: it outlives other changes to
        the module, as a line's number would not.
    line : int
    tree : ast.Module
        The module, changed.
    """

    name: str
    line: int
    tree: ast.Module


def mutants(source: str) -> Iterator[Mutant]:
    """Make every mutant of a module, in the order of its source."""
    tree = ast.parse(source)
    seen: Counter[str] = Counter()
    for where, path in _places(tree, "module", ()):
        node = _at(tree, path)
        for before, after, changed in (*_changed_coefficients(node), *_changed(node)):
            name = f"{where}: {before} -> {after}"
            seen[name] += 1
            if seen[name] > 1:
                name += f" (#{seen[name]})"
            yield Mutant(name, getattr(node, "lineno", 0), _with(tree, path, changed))


Path = tuple[tuple[str, int | None], ...]


def _places(node: ast.AST, where: str, path: Path) -> Iterator[tuple[str, Path]]:
    """Walk to each node that runs, with the function it is in; messages of errors are left out."""
    yield where, path
    for field, value in ast.iter_fields(node):
        if field in _NOT_ENTERED or isinstance(node, ast.Raise):
            continue
        children = enumerate(value) if isinstance(value, list) else [(None, value)]
        for index, child in children:
            if not isinstance(child, ast.AST):
                continue
            inside = where
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                inside = child.name if where == "module" else f"{where}.{child.name}"
            yield from _places(child, inside, (*path, (field, index)))


def _at(tree: ast.AST, path: Path) -> ast.AST:
    for field, index in path:
        tree = getattr(tree, field) if index is None else getattr(tree, field)[index]
    return tree


def _with(tree: ast.Module, path: Path, changed: ast.AST) -> ast.Module:
    tree = copy.deepcopy(tree)
    parent, (field, index) = _at(tree, path[:-1]), path[-1]
    if index is None:
        setattr(parent, field, changed)
    else:
        getattr(parent, field)[index] = changed
    return ast.fix_missing_locations(tree)


def _changes(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.BinOp(op=op) | ast.AugAssign(op=op) if type(op) in _OPERATORS:
            yield _replaced(node, op=_OPERATORS[type(op)]())
        case ast.BoolOp(op=op):
            yield _replaced(node, op=_OPERATORS[type(op)]())
        case ast.Compare(ops=[op, *others]):
            yield _replaced(node, ops=[_OPERATORS[type(op)](), *others])
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield operand
        case ast.Constant(value=bool(value)):
            yield _replaced(node, value=not value)
        case ast.Constant(value=int(value) | float(value)):
            yield _replaced(node, value=value + 1)
        case ast.Raise():
            yield ast.Pass()
        case ast.Expr(value=ast.Call()):
            yield ast.Pass()
        case ast.If() | ast.IfExp() | ast.While() if isinstance(
            node.test, ast.Name | ast.Attribute
        ):
            yield _replaced(node, test=ast.UnaryOp(op=ast.Not(), operand=node.test))


def _changed(node: ast.AST) -> Iterator[tuple[str, str, ast.AST]]:
    for changed in _changes(node):
        yield _shown(node), _shown(changed), changed


def _replaced(node: ast.AST, **fields: object) -> ast.AST:
    changed = copy.copy(node)
    for field, value in fields.items():
        setattr(changed, field, value)
    return changed


def _changed_coefficients(node: ast.AST) -> Iterator[tuple[str, str, ast.AST]]:
    """Change each number of a table: the last digit that a float64 is sure to see."""
    match node:
        case ast.Call(func=ast.Name(id=name), args=texts) if name in _OF_COEFFICIENTS:
            pass
        case _:
            return
    for i, text in enumerate(texts):
        if not (isinstance(text, ast.Constant) and isinstance(text.value, str)):
            continue
        for number in re.finditer(r"\S+", text.value):
            before = number.group()
            last = min(len(before.partition("/")[0]), SEEN_CHARACTERS) - 1
            after = f"{before[:last]}{(int(before[last]) + 1) % 10}{before[last + 1 :]}"
            changed = f"{text.value[: number.start()]}{after}{text.value[number.end() :]}"
            args = [*texts[:i], ast.Constant(changed), *texts[i + 1 :]]
            yield before, after, _replaced(node, args=args)


def _shown(node: ast.AST) -> str:
    """Return a node's source in one line, the head alone of what has a body."""
    if isinstance(node, ast.If):
        return f"if {ast.unparse(node.test)}"
    return " ".join(ast.unparse(ast.fix_missing_locations(copy.deepcopy(node))).split())
