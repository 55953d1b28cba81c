"""What stands in macro calls between items: modules behind ``cfg_net! { … }``, and items that a macro of the file writes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from loki_hooks.surface.syntax import Syntax, UnparsedError, parse

_ITEM = re.compile(r"\b(?:mod|use|fn|struct|enum|trait|const|static|type|impl|union)\b")
_VARIABLE = re.compile(r"\$(\w+)\s*:\s*(?:ident|ty|literal|expr|tt)\b")
_MAKES = re.compile(r"\bpub\b[^;{}]*\$\w+|\bimpl\b|\bmod\s+\$")
_CONDITION = re.compile(r"^(?:\}?\s*else\b\s*)?(?:if\s+#\[cfg\(.*?\)\]\s*)?$", re.DOTALL)
LONGEST = 60_000
"""Characters of a call that are looked into."""


def in_macro(node: Syntax, macros: Mapping[str, Syntax]) -> Syntax | None:
    """Return a tree with the items that a macro call stands for, None where it is none, or none that is understood."""
    if node.kind == "expression_statement" and node.parts:
        node = node.parts[0]
    tokens = node.of("token_tree")
    if node.kind != "macro_invocation" or tokens is None or tokens.end - tokens.start > LONGEST:
        return None
    name = node.word("macro").rpartition("::")[2]
    text = " ".join(_written(macros[name], tokens)) if name in macros else ""
    text = text or "\n".join(_items(tokens))
    if not text.strip():
        return None
    try:
        return parse("rust", text)
    except UnparsedError:
        return None


def _items(tokens: Syntax) -> Iterator[str]:
    """Yield the items between the braces, also those of each branch of ``cfg_if!``."""
    text = tokens.text
    if not text.startswith("{"):
        return
    inner = text[1:-1]
    if inner.lstrip().startswith("if #["):
        for part in tokens.all("token_tree"):
            yield from _items(part) if part.text.startswith("{") else ()
    elif _ITEM.search(inner):
        before = tokens.source.data[: tokens.start].count(b"\n")
        yield "\n" * before + inner


def _written(macro: Syntax, tokens: Syntax) -> Iterator[str]:
    """Yield what each call of a macro with one rule, or a few, writes."""
    given = tokens.text[1:-1]
    line = tokens.source.data[: tokens.start].count(b"\n")
    rules = macro.all("macro_rule")
    for rule in rules:
        left, right = rule.get("left"), rule.get("right")
        if left is None or right is None or not _MAKES.search(right.text):
            continue
        names = _VARIABLE.findall(left.text)
        if not names:
            continue
        words = [word.strip() for word in re.split(r"=>|[,;]", given) if word.strip()]
        repeated = "$(" in left.text
        step = len(names) if repeated else max(len(words), 1)
        for at in range(0, len(words), step):
            values = dict(zip(names, words[at : at + step], strict=False))
            if len(values) == len(names):
                yield "\n" * line + _filled(right.text[1:-1], values)
                line = 0
        return


def _filled(body: str, values: Mapping[str, str]) -> str:
    text = re.sub(r"\$(\w+)", lambda found: values.get(found[1], found[0]), body)
    return re.sub(r"\$\(|\)\s*[,;]?\s*[*+?](?=\s|$)", " ", text) if "$(" in text else text
