"""Python that is newer than the one that runs: what has no grammar here is written in an older way, so that the rest can be read.

Type parameters go (``def first[T](…)``), ``type X = …`` becomes an assignment, ``except A, B:`` gets its brackets, and a
function whose body cannot be read is read without it. Lines stay where they are.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings

MOST_BODIES = 20
"""So many bodies of functions may be left out of one file: one with more is no Python."""
_ALIAS = re.compile(r"^(\s*)type(\s+)(\w+)\s*(\[[^=\n]*\])?\s*=", re.MULTILINE)
_EXCEPT = re.compile(r"^(\s*except\*?\s+)([\w.]+(?:\s*,\s*[\w.]+)+)(\s*:)", re.MULTILINE)
_NEWER = re.compile(
    r"^\s*(?:async\s+)?(?:def|class)\s+\w+\s*\[|^\s*type\s+\w+\s*[\[=]|^\s*except\*?\s+[\w.]+\s*,|\bf[\"']|\bt[\"']",
    re.MULTILINE,
)
_DEFINITION = re.compile(r"\s*(?:async\s+)?def\s+\w+")


def parse_newer(text: str) -> ast.Module | None:
    """Return the tree of a text that is no valid Python here; None where it is none at all."""
    if not _NEWER.search(text):
        return None
    older = _EXCEPT.sub(r"\1(\2)\3", _ALIAS.sub(r"\1\3 =", _without_type_parameters(text)))
    for _ in range(MOST_BODIES):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return ast.parse(older)
        except SyntaxError as error:
            shorter = _without_body(older, error.lineno or 0)
            if shorter is None or shorter == older:
                return None
            older = shorter
        except (ValueError, RecursionError, MemoryError):
            return None
    return None


def without_alias_statements(tree: ast.Module) -> ast.Module:
    """Return the tree with an assignment for each ``type X = …``, as an older Python has it: the same on whichever one runs."""
    kind = getattr(ast, "TypeAlias", None)
    if kind is not None:
        tree.body = [
            ast.copy_location(ast.Assign([node.name], node.value), node) if isinstance(node, kind) else node  # type: ignore[attr-defined, unused-ignore]
            for node in tree.body
        ]
    return tree


def _without_type_parameters(text: str) -> str:
    """Return the text with blanks for the brackets behind the names of functions and classes."""
    lines = [list(line) for line in text.splitlines(keepends=True)]
    before: list[str] = []
    depth = 0
    start = (0, 0)
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if depth or (token.string == "[" and before[-2:-1] and before[-2] in {"def", "class"}):
                start = start if depth else token.start
                depth += (token.string in "([{") - (token.string in ")]}") if token.string else 0
                if not depth:
                    _blank(lines, start, token.end)
            before.append(token.string)
    except (tokenize.TokenError, IndentationError, SyntaxError):
        pass  # what was found up to there is mended
    return "".join("".join(line) for line in lines)


def _blank(lines: list[list[str]], start: tuple[int, int], end: tuple[int, int]) -> None:
    for number in range(start[0], end[0] + 1):
        line = lines[number - 1]
        first = start[1] if number == start[0] else 0
        last = end[1] if number == end[0] else len(line)
        for column in range(first, last):
            if line[column] not in "\r\n":
                line[column] = " "
    if start[0] != end[0]:  # the signature goes on behind a line that is blank now
        for number in range(start[0], end[0]):
            line = lines[number - 1]
            at = next((n for n, char in enumerate(line) if char in "\r\n"), len(line))
            line[at:at] = [" \\"]


def _without_body(text: str, line: int) -> str | None:
    """Return the text with ``pass`` for the body of the function around a line; None where there is none."""
    lines = text.splitlines(keepends=True)
    if not 0 < line <= len(lines):
        return None
    indent = _indent(lines[line - 1])
    at = line - 2
    while at >= 0 and not (lines[at].strip() and _indent(lines[at]) < indent and _DEFINITION.match(lines[at])):
        at -= 1
    if at < 0:
        return None
    outer = _indent(lines[at])
    first = at
    while first < line - 1 and not lines[first].partition("#")[0].rstrip().endswith(":"):
        first += 1
    first += 1
    end = first
    while end < len(lines) and (not lines[end].strip() or _indent(lines[end]) > outer):
        end += 1
    if not first < line <= end:
        return None
    body = [" " * (outer + 4) + "pass\n", *("\n" for _ in range(end - first - 1))]
    return "".join([*lines[:first], *body, *lines[end:]])


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip()) if line.strip() else 10_000
