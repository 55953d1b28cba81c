"""What applications offer in every language: endpoints and settings, called as documents call them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from loki_hooks.domain.surface import Aspect
from loki_hooks.surface.pool import Found, Offer, offer
from loki_hooks.surface.shape import Param, Shape
from loki_hooks.surface.syntax import Syntax

LONGEST_CHAIN = 200
"""So many steps a chain of calls is followed, which is longer than any that people wrote; else its cost grows with the square."""
METHODS = frozenset({"get", "post", "put", "delete", "patch", "options", "head"})


@dataclass(frozen=True)
class Setting:
    """``aliases``: its other names; ``takes``: ``flag``, ``value`` …, '' where that is unknown; ``default`` as it is written."""

    aliases: tuple[str, ...] = ()
    takes: str = ""
    default: str = ""
    required: bool = False


def setting(name: str, at: Syntax, file: str, seen: Setting | None = None) -> Found:
    seen = seen or Setting()
    marks = frozenset({"required"} if seen.required else ())
    shape = Shape("setting", marks, type=seen.takes, bases=tuple(sorted(seen.aliases)), value=seen.default)
    return (Aspect.CONFIG, name), offer(Aspect.CONFIG, name, at.line, file, shape)


def endpoint(method: str, path: str, at: Syntax, file: str, params: tuple[Param, ...] = ()) -> Found:
    """``method`` '' is any; ``params``: what a request must or may carry, where the code says so."""
    name = f"{method.upper()} {path}".strip()
    return (Aspect.ENDPOINT, name), offer(
        Aspect.ENDPOINT, name, at.line, file, Shape("endpoint", generics=name, params=params)
    )


def moved_below(prefix: str, one: Offer) -> Found:
    """Return an endpoint that another file serves below a prefix."""
    method, _, path = one.name.rpartition(" ")
    name = f"{method} {under(prefix, path)}".strip()
    shapes = tuple(replace(shape, generics=name) for shape in one.shapes)
    return (Aspect.ENDPOINT, name), replace(offer(Aspect.ENDPOINT, name, one.line, one.file, *shapes), owner=one.owner)


def under(prefix: str, path: str) -> str:
    """Return ``path`` below ``prefix``, each with one slash before it and none behind."""
    pieces = [piece.strip("/") for piece in (prefix, path)]
    return "/" + "/".join(piece for piece in pieces if piece)


def option_words(text: str) -> tuple[list[str], str]:
    """Return the names in a usage text (``-o, --output <file>``), the long ones first, and what the option takes."""
    names, takes = [], "flag"
    for word in text.replace(",", " ").replace("|", " ").replace("=", " ").split():
        if word.startswith("-") and word.strip("-"):
            names.append(word)
        elif word.startswith("[") and takes == "flag":
            takes = "value?"
        elif names:
            takes = "value"
    return sorted(names, key=lambda name: not name.startswith("--")), takes


def option(names: list[str], at: Syntax, file: str, seen: Setting) -> Found:
    """Return the setting for an option: called by its first name, the others are its aliases."""
    return setting(names[0], at, file, Setting(tuple(names[1:]), seen.takes, seen.default, seen.required))
