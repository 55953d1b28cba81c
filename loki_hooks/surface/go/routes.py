"""The routes of a Go program."""

from __future__ import annotations

from collections.abc import Iterator

from loki_hooks.surface.go.names import SCOPES, Names, call
from loki_hooks.surface.offers import METHODS, endpoint, under
from loki_hooks.surface.pool import Found
from loki_hooks.surface.spelling import plain
from loki_hooks.surface.syntax import Syntax

_MADE_BY = frozenset({"chi.NewRouter", "chi.NewMux", "fiber.New", "echo.New", "gin.Default", "gin.New", "mux.NewRouter",
                      "iris.New", "http.NewServeMux"})  # fmt: skip
_ROUTER_TYPES = ("chi.Router", "chi.Mux", "fiber.Router", "fiber.App", "mux.Router", "echo.Group", "echo.Echo", "gin.")
_GROUPS = frozenset({"Group", "Route", "PathPrefix", "Party"})
_STEPS = frozenset({"Subrouter", "With"})
"""Calls that hand on the router they are made on."""


def read_routes(node: Syntax, file: str, names: Names) -> Iterator[Found]:
    owner, verb, arguments = call(node)
    path = plain(arguments[0]) if arguments else None
    if len(arguments) < 2 or owner is None:
        return
    if verb in _BY_METHOD and (inner := plain(arguments[1])) is not None:  # a method or several, then the path
        prefix, known = _prefix(owner, names)
        listed = [_method_named(one) for one in _methods_listed(arguments[0])]
        for one in listed if known or inner.startswith("/") else ():
            if one:
                yield endpoint(one, under(prefix, inner), node, file)
        return
    if path is None:
        return
    prefix, known = _prefix(owner, names)
    if verb in ("HandleFunc", "Handle"):
        if path.isupper() and (inner := plain(arguments[1])) is not None:  # gin: a method, then the path
            yield endpoint(path, under(prefix, inner), node, file)
            return
        method, _, rest = path.rpartition(" ")
        if rest.startswith("/"):
            for one in _methods(node) or [method]:
                yield endpoint(one, under(prefix, rest), node, file)
    elif verb in ("Any", "All") and known:
        yield endpoint("", under(prefix, path), node, file)
    elif verb.lower() in METHODS and (
        ((path.startswith("/") or not path) and (verb.isupper() or known)) or (verb.isupper() and known)
    ):
        yield endpoint(verb, under(prefix, path), node, file)


_BY_METHOD = frozenset({"Match", "Add", "Method", "MethodFunc"})


def _methods_listed(node: Syntax) -> list[Syntax]:
    body = node.get("body") if node.kind == "composite_literal" else None
    return [(element.parts or [element])[0] for element in body.parts] if body is not None else [node]


def _method_named(node: Syntax) -> str:
    text = plain(node) or node.text.rpartition(".Method")[2]
    return text.upper() if text.lower() in METHODS else ""


def _methods(node: Syntax) -> list[str]:
    """Return what ``.Methods("GET", "POST")`` behind a route says."""
    called = node.parent
    around = called.parent if called is not None and called.kind == "selector_expression" else None
    if around is None or called is None or called.word("field") != "Methods":
        return []
    return [
        text
        for argument in call(around)[2]
        if (text := plain(argument) or argument.text.rpartition(".Method")[2].upper())
    ]


def _prefix(owner: Syntax, names: Names) -> tuple[str, bool]:
    """Return (the prefix of a router, whether it is known to be one)."""
    prefix, at, steps = "", owner, 0
    while steps < 50:
        steps += 1
        if at.kind == "identifier":
            value, _ = names.told(at)
            if value is None or value is at or _is_around(value, at):
                return _by_type(at, names, prefix)
            at = value
            continue
        inner, verb, arguments = call(at)
        path = plain(arguments[0]) if arguments else None
        if inner is not None and f"{inner.text}.{verb}" in _MADE_BY:
            return prefix, True
        if inner is None or (verb not in _GROUPS and verb not in _STEPS):
            return prefix, False
        prefix, at = under(path, prefix) if path else prefix, inner
    return prefix, False


def _is_around(value: Syntax, name: Syntax) -> bool:
    """``r = r.With(…)`` says nothing of where ``r`` comes from."""
    return value.start <= name.start < value.end


def _by_type(name: Syntax, names: Names, prefix: str) -> tuple[str, bool]:
    _, kind = names.told(name)
    if kind is None:
        return prefix, False
    known = any(word in kind.text for word in _ROUTER_TYPES)
    scope = name.up(*SCOPES)
    around = scope.up("call_expression") if known and scope is not None and scope.kind == "func_literal" else None
    if around is not None and scope is not None and scope.parent is not None and scope.parent.parent is around:
        owner, verb, arguments = call(around)  # r.Route("/users", func(r chi.Router) { … })
        path = plain(arguments[0]) if arguments else None
        if owner is not None and verb in _GROUPS:
            outer, _ = _prefix(owner, names)
            return under(outer, under(path or "", prefix)), True
    return prefix, known
