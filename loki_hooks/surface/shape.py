"""What a caller sees of one public thing, and whether a change of it may stop working code.

Parameters are compared as callers give them: by position, or by name where ``keyword`` is set.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest

_BOTH_WAYS = frozenset({"async", "static", "generator"})
_GAINED = frozenset(
    {"abstract", "final", "sealed", "readonly", "unsafe", "protected", "required", "non_exhaustive", "closed"}
)
_HARMLESS = frozenset({"deprecated", "override", "default"})
_PLAIN = frozenset({"function", "field", "member", "constant", "endpoint"})
_ANYTHING = frozenset({"any", "unknown"})


@dataclass(frozen=True)
class Param:
    name: str
    type: str = ""
    default: str = ""
    optional: bool = False
    keyword: bool = False
    rest: bool = False

    def __str__(self) -> str:
        name = f"{'**' if self.keyword else '...'}{self.name}" if self.rest else self.name
        mark = "?" if self.optional and not self.default else ""
        colon = ":" if name and (self.type or (self.keyword and not self.rest)) else ""
        words = [f"{name}{mark}{colon}", self.type, f"= {self.default}" if self.default else ""]
        return " ".join(word for word in words if word)


@dataclass(frozen=True)
class Shape:
    """``kind``: function, class, field …; ``params``: None where it is not called; ``type``: a result's, a field's, an alias's."""

    kind: str
    marks: frozenset[str] = frozenset()
    generics: str = ""
    params: tuple[Param, ...] | None = None
    type: str = ""
    bases: tuple[str, ...] = ()
    value: str = ""

    def __str__(self) -> str:
        """Return it as documents write it, without the words that its name says already."""
        if self.kind == "setting":
            default = f"= {self.value}" if self.value else ""
            return " ".join(word for word in (*self.bases, self.type, default, *sorted(self.marks)) if word)
        words = " ".join([*sorted(self.marks - {"override"}), *([] if self.kind in _PLAIN else [self.kind])])
        params = "" if not self.params and self.kind != "function" else f"({', '.join(map(str, self.params or ()))})"
        bases = f" < {', '.join(self.bases)}" if self.bases else ""
        kind = f": {self.type}" if self.type and (words or params) else self.type
        head = (
            f"{words} {params}"
            if words and params.startswith("(") and not self.generics
            else f"{words}{self.generics}{params}"
        )
        return (f"{head}{kind}{bases}" + (f" = {self.value}" if self.value else "")).strip()


def breaks(old: Iterable[Shape], new: Iterable[Shape]) -> bool:
    """Does a way to use the older thing stop working? Each of its overloads must be served by one of the newer's."""
    serving = list(new)
    return any(all(_breaks(before, after) for after in serving) for before in old)


def _breaks(old: Shape, new: Shape) -> bool:
    return (
        old.kind != new.kind
        or _marks_break(old.marks, new.marks)
        or _generics_break(old.generics, new.generics)
        or not set(old.bases) <= set(new.bases)
        or (old.params is not None and new.params is not None and _params_break(old.params, new.params))
        or _type_breaks(old, new)
        or (bool(old.value) and not new.value and old.kind == "setting")
    )


def _marks_break(old: frozenset[str], new: frozenset[str]) -> bool:
    gained, lost = new - old, old - new
    return bool((gained | lost) & _BOTH_WAYS or gained & _GAINED or lost - _GAINED - _HARMLESS)


def _generics_break(old: str, new: str) -> bool:
    """A type parameter with a default may follow; any other change may break."""
    if old == new:
        return False
    more = new[1:-1].removeprefix(old[1:-1]).removeprefix(", ")
    return not (new.startswith(old[:-1]) and all("=" in part for part in more.split(",")))


def _type_breaks(old: Shape, new: Shape) -> bool:
    if old.kind == "function":
        if " is " in old.type and " is " in new.type:
            return False  # a type guard tells of what it is given
        return bool(old.type and new.type) and not members(new.type) <= members(old.type)
    return not _accepts(new.type, old.type)


def _params_break(old: tuple[Param, ...], new: tuple[Param, ...]) -> bool:
    return _positions_break([p for p in old if not p.keyword], [p for p in new if not p.keyword]) or _keywords_break(
        {p.name: p for p in old if p.keyword}, {p.name: p for p in new if p.keyword}, new
    )


def _positions_break(old: list[Param], new: list[Param]) -> bool:
    rest = next((p for p in new if p.rest), None)
    names = [p.name for p in new]
    for at, (before, after) in enumerate(zip_longest(old, new)):
        if before is None:
            if not (after.optional or after.rest):
                return True
            continue
        served = after if after is not None and not after.rest else rest
        if served is None or _position_breaks(before, served):
            return True
        if before.name and before.name in names and names[at : at + 1] != [before.name] and not served.rest:
            return True
    return False


def _position_breaks(old: Param, new: Param) -> bool:
    if new.rest:
        return not _accepts(new.type.removesuffix("[]"), old.type.removesuffix("[]"))
    return old.rest or (old.optional and not new.optional) or not _accepts(new.type, old.type)


def _keywords_break(old: dict[str, Param], new: dict[str, Param], every: tuple[Param, ...]) -> bool:
    takes_any = any(p.rest and p.keyword for p in every)
    for name, before in old.items():
        after = new.get(name)
        if after is None and not takes_any:
            return True
        if after is not None and ((before.optional and not after.optional) or not _accepts(after.type, before.type)):
            return True
    return any(not (p.optional or p.rest) for name, p in new.items() if name not in old)


def _accepts(wider: str, narrower: str) -> bool:
    """Can what was of the one type be given as the other? Unknown types accept each other."""
    if not wider or not narrower or wider in _ANYTHING:
        return True
    return members(narrower) <= members(wider)


def members(kind: str) -> frozenset[str]:
    """Return the alternatives of a union type; a type that is none has itself alone."""
    return frozenset(part.strip() for part in _top_level(kind, "|"))


def _top_level(text: str, separator: str) -> Iterator[str]:
    depth, quote, start = 0, "", 0
    for at, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in "([{<":
            depth += 1
        elif char in ")]}>" and text[at - 1 : at + 1] not in ("=>", "->"):
            depth -= 1
        elif char == separator and depth == 0:
            yield text[start:at]
            start = at + 1
    yield text[start:]


def marked(shape: Shape, *marks: str) -> Shape:
    return replace(shape, marks=shape.marks | set(marks))
