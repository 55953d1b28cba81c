"""Syntax trees by tree-sitter, as plain values that can be walked without a stack.

The tree is copied out with one cursor: the library's own nodes recurse on some questions, and a file may be nested deeper
than a stack. Lines are counted from 1.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterator
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Parser, TreeCursor

MAX_BYTES = 2_000_000
"""A larger file was made by a program, for a program."""
_LONGEST_WORD = 20
COMMENTS = frozenset({"comment", "line_comment", "block_comment", "html_comment"})
STRINGS = frozenset({"string", "interpreted_string_literal", "raw_string_literal", "string_literal", "char_literal"})
_STATEMENTS = frozenset({"statement_block", "block", "body_statement", "constructor_body", "declaration_list"})
_VALUES = frozenset(
    {"variable_declarator", "type_alias_declaration", "expression_statement", "expression_list", "const_item"}
)
_FUNCTIONS = frozenset(
    {
        "function_declaration",
        "function_expression",
        "generator_function_declaration",
        "arrow_function",
        "method_definition",
        "method_declaration",
        "constructor_declaration",
        "func_literal",
        "function_item",
        "closure_expression",
        "lambda_expression",
        "method",
        "singleton_method",
    }
)


_GRAMMARS = {
    "javascript": ("tree_sitter_javascript", "language"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
    "tsx": ("tree_sitter_typescript", "language_tsx"),
    "go": ("tree_sitter_go", "language"),
    "rust": ("tree_sitter_rust", "language"),
    "java": ("tree_sitter_java", "language"),
    "ruby": ("tree_sitter_ruby", "language"),
}
"""By language: the module of its grammar, and the function there that returns it."""


class UnparsedError(Exception):
    """The text is no program in its language, as far as its surface goes; the message says why."""


class Syntax:
    """A node: ``kind`` in the grammar's words, ``field`` in its parent, ``children`` with punctuation, comments left out."""

    __slots__ = ("children", "end", "field", "kind", "line", "named", "parent", "source", "start")

    def __init__(self, cursor: TreeCursor, source: Source, parent: Syntax | None) -> None:
        node = cursor.node
        assert node is not None
        self.kind = node.type
        self.field = cursor.field_name
        self.named = node.is_named
        self.start = node.start_byte
        self.end = node.end_byte
        self.source = source
        self.parent = parent
        self.children: list[Syntax] = []
        if node.is_error or node.is_missing:
            source.errors.append(self)
        if self.named:
            source.by_kind.setdefault(self.kind, []).append(self)
        if parent is not None:
            (source.comments if self.kind in COMMENTS else parent.children).append(self)
        self.line = bisect_right(source.lines, self.start)

    @property
    def text(self) -> str:
        return self.source.data[self.start : self.end].decode("utf-8", "replace")

    @property
    def parts(self) -> list[Syntax]:
        """The named children."""
        return [child for child in self.children if child.named]

    def get(self, field: str) -> Syntax | None:
        return next((child for child in self.children if child.field == field), None)

    def every(self, field: str) -> list[Syntax]:
        return [child for child in self.children if child.field == field]

    def of(self, *kinds: str) -> Syntax | None:
        """Return the first child of one of these kinds."""
        return next((child for child in self.children if child.kind in kinds), None)

    def all(self, *kinds: str) -> list[Syntax]:
        return [child for child in self.children if child.kind in kinds]

    def has(self, *kinds: str) -> bool:
        """Is a child (a keyword, say) of one of these kinds there?"""
        return self.of(*kinds) is not None

    def word(self, field: str) -> str:
        """Return the text of a field, '' where there is none."""
        child = self.get(field)
        return child.text if child else ""

    def up(self, *kinds: str) -> Syntax | None:
        """Return the nearest node around this one that is of one of these kinds."""
        at = self.parent
        while at is not None and at.kind not in kinds:
            at = at.parent
        return at

    def walk(self, skip: Collection[str] = ()) -> Iterator[Syntax]:
        """Yield this node and all below it, in the order of the text; what is below a kind in ``skip`` is left out."""
        todo = [self]
        while todo:
            node = todo.pop()
            yield node
            if node.kind not in skip or node is self:
                todo.extend(reversed(node.children))

    def named_nodes(self, *kinds: str) -> list[Syntax]:
        """Return all nodes of the file that are of these kinds, in the order of the text: no walk through the others."""
        found = [node for kind in kinds for node in self.source.by_kind.get(kind, ())]
        return found if len(kinds) == 1 else sorted(found, key=lambda node: (node.start, -node.end))

    @property
    def remarks(self) -> str:
        """The comments right above this node."""
        return self.source.remarks(self.start, self.line)

    @property
    def beside(self) -> str:
        """The comment behind this node's first line."""
        return self.source.comment_in(self.line)


class Source:
    """What the nodes of one file share."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.lines = [0, *(at + 1 for at, byte in enumerate(data) if byte == 10)]
        self.comments: list[Syntax] = []
        self.by_kind: dict[str, list[Syntax]] = {}
        self.errors: list[Syntax] = []
        self.spoiled: list[Syntax] = []
        """Declarations of which an error leaves unsure what they say."""

    def line_of(self, byte: int) -> int:
        return bisect_right(self.lines, byte)

    def remarks(self, byte: int, line: int) -> str:
        """Return the comments that end right above a place, without a line between."""
        found: list[str] = []
        at = bisect_right(self.comments, byte, key=lambda comment: comment.start) - 1
        while at >= 0 and self.line_of(self.comments[at].end - 1) >= line - 1:
            found.append(self.comments[at].text)
            line = self.comments[at].line
            at -= 1
        return "\n".join(reversed(found))

    def comment_in(self, line: int) -> str:
        end = self.lines[line] if line < len(self.lines) else len(self.data)
        at = bisect_right(self.comments, end, key=lambda comment: comment.start) - 1
        return self.comments[at].text if at >= 0 and self.comments[at].line == line else ""


def parse(language: str, text: str) -> Syntax:
    """Return the tree of ``text``; raises `UnparsedError` where errors spoil much of it."""
    root = _tree(language, text)
    if root.source.errors and language in {"typescript", "tsx"}:
        mended = _LOOSE_CALL.sub(r"\1;\2", text)
        if mended != text and not (again := _tree(language, mended)).source.errors:
            root = again
    _trust(root)
    return root


_LOOSE_CALL = re.compile(r"([\w\])>}\"'])([ \t]*\n[ \t]*(?:<[^;{}()]*>\s*\(|\())")
"""A call signature behind a member without a semicolon: the grammar does not end the member by itself."""


def _tree(language: str, text: str) -> Syntax:
    data = text.encode("utf-8", "replace")
    if len(data) > MAX_BYTES:
        raise UnparsedError(f"larger than {MAX_BYTES // 1_000_000} MB")
    source = Source(data)
    cursor = _parser(language).parse(data).walk()
    root = at = Syntax(cursor, source, None)
    while True:
        if cursor.goto_first_child():
            at = Syntax(cursor, source, at)
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return root
            assert at.parent is not None
            at = at.parent
        at = Syntax(cursor, source, at.parent)


def _trust(root: Syntax) -> None:
    """Note which declarations errors spoil; raises `UnparsedError` where that is much of the file."""
    spoiled: list[Syntax] = []
    for error in root.source.errors:
        if error is root:
            raise UnparsedError(f"syntax error in line {error.line}")
        if not (_is_new_word(error) or _stays_inside(error)):
            spoiled.append(_declaration(error))
    lost = {(node.start, node.end) for node in spoiled}
    if sum(end - start for start, end in lost) * _MOST_SPOILED > root.end - root.start:
        raise UnparsedError(f"syntax error in line {spoiled[0].line}")
    root.source.spoiled = spoiled


_MOST_SPOILED = 3
"""A file is read as long as less than a third of it is spoiled."""


def _declaration(error: Syntax) -> Syntax:
    """Return the smallest member or statement around an error."""
    at = error
    while at.parent is not None and at.parent.parent is not None and not at.parent.kind.endswith(_HOLDING):
        at = at.parent
    return at


_HOLDING = ("body", "list", "block", "statements")


def _is_new_word(error: Syntax) -> bool:
    """Is it a modifier that the grammar does not know yet (``export type * from``) in a statement that it does?"""
    around = error.parent
    beside = around is not None and around.parent is not None and not around.kind.endswith(("body", "list", "block"))
    return beside and error.end - error.start <= _LONGEST_WORD and error.text.replace(" ", "").isalpha()


def _stays_inside(error: Syntax) -> bool:
    """Does it spoil no more than a function's body, or one value or type? What else is declared can be read all the same."""
    at: Syntax | None = error
    while at is not None and at.parent is not None:
        if at.kind in _STATEMENTS and at.parent.kind in _FUNCTIONS:
            return True
        if at.kind in _VALUES and error.end > error.start:
            return True
        at = at.parent
    return False


@cache
def _parser(language: str) -> Parser:
    """Return the parser; its grammar is loaded only when a file of the language comes. Raises ``KeyError`` for another."""
    import tree_sitter

    module, function = _GRAMMARS[language]
    return tree_sitter.Parser(tree_sitter.Language(getattr(import_module(module), function)()))
