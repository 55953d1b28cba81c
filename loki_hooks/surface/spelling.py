"""One spelling for a piece of code, whatever its line breaks, comments, quotes and trailing commas."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from loki_hooks.surface.syntax import STRINGS, Syntax

_TIGHT_BEFORE = frozenset([",", ";", ")", "]", ".", "?.", "::", "(", "[", "<", ">", ":", "?", "!", "..."])
_TIGHT_AFTER = frozenset(["(", "[", "[]", ".", "?.", "::", "<", "!", "...", "..", "&", "*", "@", "#", "~", "-"])
_OPEN = frozenset("([{<")
_CLOSE = frozenset(")]}>")
_LOOSE = frozenset(["=>", "=", "->", ",", ":", "|", "&&", "||", "??", "+", "{", "}"])
_WORDS = frozenset({"extends", "keyof", "typeof", "in", "of", "mut", "dyn", "impl", "is", "infer"})
_LISTS = frozenset({"object_type", "interface_body"})
_UNIONS = frozenset({"union_type", "intersection_type"})
_ATOMS = frozenset({"lifetime", "regex", "template_string"})
_QUOTES = {"'", '"', "`"}


def spell(node: Syntax | None, skip: Collection[str] = ()) -> str:
    """Return ``node`` in the one spelling, without the parts whose kind is in ``skip``; '' for None."""
    if node is None:
        return ""
    out: list[str] = []
    before = ""
    for token in _tokens(node, skip):
        if token in _CLOSE and before == ",":
            out.pop()
            before = out[-1].strip() if out else ""
        out.append((" " if _apart(before, token) else "") + token)
        before = token
    return "".join(out)


def _apart(before: str, token: str) -> bool:
    if not before or before in _TIGHT_AFTER:
        return False
    if token in ("(", "[") and (before in _LOOSE or before in _WORDS):
        return True
    return token not in _TIGHT_BEFORE


def _tokens(node: Syntax, skip: Collection[str]) -> Iterator[str]:
    todo: list[Syntax | str] = [node]
    while todo:
        at = todo.pop()
        if isinstance(at, str):
            yield at
        elif at.kind in skip:
            continue
        elif at.kind in STRINGS:
            yield quoted(at)
        elif at.kind in _ATOMS:
            yield at.text
        elif at.kind == "parameter_declaration":  # in a type (Go): what it is called is not part of it
            kinds: list[Syntax | str] = []
            for _ in at.every("name") or [at]:
                kinds += [",", *at.every("type")]
            todo.extend(reversed(kinds[1:]))
        elif at.kind == "slice_type":
            todo.extend(reversed(["[]", *at.parts]))
        elif at.kind in _UNIONS and at.children and not at.children[0].named:
            todo.extend(reversed(at.children[1:]))  # a union over several lines begins each of them alike
        elif at.kind in _LISTS:
            members = [part for child in at.parts for part in (",", child)][1:]
            todo.extend(reversed(["{", *members, "}"]))
        elif at.children:
            todo.extend(reversed(at.children))
        elif at.text:
            yield at.text


def quoted(node: Syntax) -> str:
    """Return a string as it is written with double quotes."""
    text = node.text
    if len(text) >= 2 and text[0] in _QUOTES and text[-1] == text[0]:
        return f'"{text[1:-1]}"'
    return text


def plain(node: Syntax | None) -> str | None:
    """Return what a string literal (or a symbol) says, None where it is none or holds more than text."""
    if node is None:
        return None
    text = node.text
    if node.kind in STRINGS or node.kind == "template_string":
        if any(child.kind in ("template_substitution", "interpolation") for child in node.children):
            return None
        return text[1:-1] if len(text) >= 2 and text[0] in _QUOTES else text
    if node.kind == "simple_symbol":
        return text[1:]
    return None
