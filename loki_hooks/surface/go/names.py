"""What names and calls in a Go file stand for."""

from __future__ import annotations

from loki_hooks.surface.spelling import plain
from loki_hooks.surface.syntax import Syntax

SCOPES = ("func_literal", "function_declaration", "method_declaration", "source_file")
REQUIRED_FLAGS = frozenset({"MarkFlagRequired", "MarkPersistentFlagRequired"})


_NAMING = (
    "short_var_declaration",
    "assignment_statement",
    "var_spec",
    "parameter_declaration",
    "import_spec",
    "call_expression",
)


class Names:
    """What the names of a file stand for, by the scope they are given in."""

    def __init__(self, root: Syntax) -> None:
        self.values: dict[tuple[int, str], Syntax] = {}
        self.types: dict[tuple[int, str], Syntax] = {}
        self.imports: dict[str, str] = {}
        self.required: set[str] = set()
        for node in root.named_nodes(*_NAMING):
            if node.kind in ("short_var_declaration", "assignment_statement"):
                self._assigned(node.get("left"), node.get("right"), node)
            elif node.kind == "var_spec":
                for name in node.every("name")[:1]:
                    self._assigned(name, node.get("value"), node)
            elif node.kind == "parameter_declaration":
                kind = node.get("type")
                for name in node.every("name") if kind is not None else []:
                    assert kind is not None
                    self.types[_scope(node), name.text] = kind
            elif node.kind == "import_spec":
                path = plain(node.get("path")) or ""
                self.imports[node.word("name") or path.rsplit("/", 1)[-1]] = path
            elif node.kind == "call_expression" and call(node)[1] in REQUIRED_FLAGS:
                self.required |= {plain(argument) or "" for argument in call(node)[2]}

    def _assigned(self, left: Syntax | None, right: Syntax | None, at: Syntax) -> None:
        names = (
            left.parts if left is not None and left.kind == "expression_list" else [left] if left is not None else []
        )
        values = right.parts if right is not None else []
        if names and values and names[0].kind == "identifier":
            self.values.setdefault((_scope(at), names[0].text), values[0])

    def told(self, name: Syntax) -> tuple[Syntax | None, Syntax | None]:
        """Return (value, type) from the nearest scope that gives the name either."""
        at = name.up(*SCOPES)
        while at is not None:
            key = (at.start, name.text)
            if key in self.values or key in self.types:
                return self.values.get(key), self.types.get(key)
            at = at.up(*SCOPES)
        return None, None


def _scope(node: Syntax) -> int:
    around = node.up(*SCOPES)
    return around.start if around is not None else 0


def keyed(node: Syntax) -> dict[str, Syntax]:
    body = node.get("body")
    pairs = [element.parts for element in body.all("keyed_element")] if body is not None else []
    return {pair[0].text: (pair[1].parts or [pair[1]])[0] for pair in pairs if len(pair) == 2}


def call(node: Syntax) -> tuple[Syntax | None, str, list[Syntax]]:
    """Return (``r``, ``GET``, the arguments) of ``r.GET(…)``."""
    called, arguments = node.get("function"), node.get("arguments")
    if node.kind != "call_expression" or called is None or arguments is None:
        return None, "", []
    if called.kind == "selector_expression":
        return called.get("operand"), called.word("field"), arguments.parts
    return None, called.text if called.kind == "identifier" else "", arguments.parts
