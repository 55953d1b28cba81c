"""What a Ruby application offers: Rails' and Sinatra's routes, its command line's options, its environment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from loki_hooks.surface.offers import METHODS, Setting, endpoint, option, option_words, setting, under
from loki_hooks.surface.pool import Found
from loki_hooks.surface.spelling import plain, spell
from loki_hooks.surface.syntax import Syntax

_COLLECTION = {"index": ("get", ""), "new": ("get", "new"), "create": ("post", "")}
_MEMBER = {"show": ("get", ""), "edit": ("get", "edit"), "update": ("patch", ""), "destroy": ("delete", "")}
_ASKED = ("key?", "has_key?", "include?", "fetch", "dig")


def read_offers(path: str, root: Syntax) -> Iterator[Found]:
    """Yield the endpoints and settings of one file."""
    if path.endswith("routes.rb") or "config/routes/" in path:
        yield from _routes(path, root)
    called = _environments(root)
    for node in root.named_nodes("call", "element_reference"):
        if node.kind == "call":
            yield from _served(node, path)
            yield from _option(node, path)
            yield from _fetched(node, path, called)
            yield from _command(node, path)
        elif node.kind == "element_reference":
            yield from _variable(node, path, called)


def _environments(root: Syntax) -> set[str]:
    """Return what the file calls the environment: ``def options(env = ENV)``, ``@env = ENV``."""
    found = {"ENV", "::ENV"}
    for node in root.named_nodes("optional_parameter", "keyword_parameter", "assignment"):
        if node.kind in ("optional_parameter", "keyword_parameter") and node.word("value") in ("ENV", "::ENV"):
            found.add(node.word("name"))
        elif node.kind == "assignment" and node.word("right") in found:
            found.add(node.word("left"))
    return found


def texts(node: Syntax) -> list[str]:
    """Return what symbols and strings say, alone, in an array, or in ``%i[a b]``."""
    if node.kind in ("array", "symbol_array", "string_array"):
        return [text for part in node.parts for text in texts(part)]
    if node.kind in ("bare_symbol", "bare_string"):
        return [node.text]
    text = plain(node)
    return [text] if text is not None else []


def words(arguments: Syntax | None) -> list[str]:
    """Return what the symbols and strings among a call's arguments say."""
    listed = arguments.parts if arguments is not None else []
    return [text for part in listed if part.kind != "pair" for text in texts(part)]


def pairs(arguments: Syntax | None) -> dict[str, Syntax]:
    """Return key → value of the keywords of a call."""
    listed = arguments.all("pair") if arguments is not None else []
    out = {}
    for pair in listed:
        key, value = pair.get("key"), pair.get("value")
        if key is not None and value is not None:
            out[plain(key) or key.text.strip(":")] = value
    return out


# Rails


@dataclass(frozen=True)
class _Around:
    """Where a route stands: below ``prefix``; in ``resources``, its items are at ``member`` and nested ones below ``nested``."""

    prefix: str = ""
    member: str = ""
    nested: str = ""


def _routes(file: str, root: Syntax) -> Iterator[Found]:
    todo: list[tuple[_Around, Syntax]] = [(_Around(), root)]
    while todo:
        around, body = todo.pop()
        for node in body.parts:
            if node.kind == "call":
                yield from _rails(node, file, around)
                block = node.get("block")
                inner = block.get("body") if block is not None else None
                if inner is not None and node.word("method") != "concern":
                    todo += [(one, inner) for one in _inside(node, around)]


def _rails(node: Syntax, file: str, around: _Around) -> Iterator[Found]:
    verb, arguments = node.word("method"), node.get("arguments")
    told = pairs(arguments)
    names = words(arguments)
    if verb == "root":
        yield endpoint("get", around.prefix or "/", node, file)
    elif verb in METHODS or verb == "match":
        paths = names or [key for key in told if "/" in key or key not in ("to", "as", "via", "on")][:1]
        methods = texts(told["via"]) if verb == "match" and "via" in told else ["" if verb == "match" else verb]
        place = _place(around, *(texts(told["on"]) if "on" in told else []))
        for path in paths:
            for method in methods:
                yield endpoint(
                    "" if method == "all" else method, under(place, path.removesuffix("(.:format)")), node, file
                )
    elif verb == "mount":
        at = plain(told.get("at")) or next((text for value in told.values() if (text := plain(value))), None)
        if at is not None:
            yield endpoint("", under(around.prefix, at), node, file)
    elif verb in ("resources", "resource"):
        for name in names:
            yield from _resource(node, file, around, name, told)


def _place(around: _Around, on: str = "") -> str:
    if on == "member":
        return around.member
    return around.prefix if on or not around.nested else around.nested


def _resource(node: Syntax, file: str, around: _Around, name: str, told: dict[str, Syntax]) -> Iterator[Found]:
    inner = _resource_around(node, around, name, told)
    only, besides = texts(told["only"]) if "only" in told else None, texts(told["except"]) if "except" in told else []
    single = node.word("method") == "resource"
    for actions, place in ((_COLLECTION, inner.prefix), (_MEMBER, inner.member)):
        for action, (method, path) in actions.items():
            if (only is None or action in only) and action not in besides and not (single and action == "index"):
                yield endpoint(method, under(place, path), node, file)
                if action == "update":
                    yield endpoint("put", under(place, path), node, file)


def _resource_around(node: Syntax, around: _Around, name: str, told: dict[str, Syntax]) -> _Around:
    path = under(around.nested or around.prefix, (plain(told.get("path")) or name) if "path" in told else name)
    if node.word("method") == "resource":
        return _Around(path, path, path)
    key = plain(told.get("param")) or "id"
    return _Around(path, f"{path}/:{key}", f"{path}/:{_singular(name)}_{key}")


def _inside(node: Syntax, around: _Around) -> Iterator[_Around]:
    """Yield where the routes in a call's block stand."""
    verb, arguments = node.word("method"), node.get("arguments")
    told = pairs(arguments)
    names = words(arguments)
    outer = around.nested or around.prefix
    if verb in ("resources", "resource"):
        yield from (_resource_around(node, around, name, told) for name in names)
    elif verb in ("namespace", "scope"):
        path = plain(told.get("path")) if "path" in told else "/".join(names)
        yield _Around(under(outer, path or ""))
    elif verb == "member":
        yield _Around(around.member)
    elif verb == "collection":
        yield _Around(around.prefix)
    else:
        yield around


def _singular(name: str) -> str:
    if name.endswith("ies"):
        return f"{name[:-3]}y"
    return name[:-2] if name.endswith(("sses", "xes", "ches", "shes")) else name.removesuffix("s")


# Sinatra


def _served(node: Syntax, file: str) -> Iterator[Found]:
    """Yield the endpoint of ``get "/hello" do … end``, below each ``namespace "/x" do`` around it."""
    arguments = node.get("arguments")
    path = plain(arguments.parts[0]) if arguments is not None and arguments.parts else None
    if node.get("receiver") is not None or node.get("block") is None or node.word("method") not in METHODS:
        return
    if path is None or not path.startswith("/") or file.endswith("routes.rb"):
        return
    prefix, at = "", node.up("call")
    while at is not None:
        outer = at.get("arguments")
        if at.word("method") == "namespace" and outer is not None and outer.parts:
            prefix = under(plain(outer.parts[0]) or "", prefix)
        at = at.up("call")
    yield endpoint(node.word("method"), under(prefix, path), node, file)


# Options


def _option(node: Syntax, file: str) -> Iterator[Found]:
    verb, arguments = node.word("method"), node.get("arguments")
    given = arguments.parts if arguments is not None else []
    if verb in ("on", "on_tail", "on_head") and node.get("receiver") is not None:
        names, takes = [], "flag"
        for one in given:
            text = plain(one) or ""
            found, needs = option_words(text.replace("[no-]", "")) if text.startswith("-") else ([], "flag")
            names += found
            takes = needs if needs != "flag" else takes
        if names:
            names.sort(key=lambda name: not name.startswith("--"))
            yield option(names, node, file, Setting(takes=takes))
    elif verb in ("method_option", "class_option") or (verb == "option" and _in_thor(node)):
        told = pairs(arguments)
        for name in texts(given[0]) if given and node.get("receiver") is None else ():
            aliases = [text for text in (texts(told["aliases"]) if "aliases" in told else []) if text]
            kind = plain(told.get("type")) or ""
            required = told["required"].text == "true" if "required" in told else False
            seen = Setting(
                takes="flag" if kind == "boolean" else kind, default=spell(told.get("default")), required=required
            )
            yield option([f"--{name.replace('_', '-')}", *aliases], node, file, seen)


def _command(node: Syntax, file: str) -> Iterator[Found]:
    """Yield the command of Thor's ``desc "serve PORT", "…"``."""
    arguments = node.get("arguments")
    text = plain(arguments.parts[0]) if arguments is not None and len(arguments.parts) == 2 else None
    if node.word("method") == "desc" and node.get("receiver") is None and text and _in_thor(node):
        yield setting(text.partition(" ")[0], node, file, Setting(takes="command"))


def _in_thor(node: Syntax) -> bool:
    around = node.up("class")
    above = around.get("superclass") if around is not None else None
    return above is not None and "Thor" in above.text


# The environment


def _variable(node: Syntax, file: str, called: set[str]) -> Iterator[Found]:
    parts = node.parts
    name = plain(parts[1]) if len(parts) > 1 and parts[0].text in called else None
    around = node.parent
    if (
        not name
        or (not name.isupper() and parts[0].text not in ("ENV", "::ENV"))
        or (around is not None and around.kind == "assignment" and node.field == "left")
    ):
        return
    default = ""
    if (
        around is not None
        and around.kind == "binary"
        and node.field == "left"
        and around.word("operator") in ("||", "or")
    ) or (around is not None and around.kind == "operator_assignment" and node.field == "left"):
        default = spell(around.get("right"))
    yield setting(name, node, file, Setting(default=default))


def _fetched(node: Syntax, file: str, called: set[str]) -> Iterator[Found]:
    """Yield the variable of ``ENV.fetch("X", "default")`` and ``ENV.key?("X")``."""
    arguments, block = node.get("arguments"), node.get("block")
    if node.word("receiver") not in called or node.word("method") not in _ASKED:
        return
    name = plain(arguments.parts[0]) if arguments is not None and arguments.parts else None
    if name and arguments is not None and (name.isupper() or node.word("receiver") in ("ENV", "::ENV")):
        given = arguments.parts[1] if len(arguments.parts) > 1 else None
        default = spell(given) or spell(block.get("body") if block is not None else None)
        yield setting(name, node, file, Setting(default=default))
