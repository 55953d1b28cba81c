"""What a JavaScript or TypeScript application offers: its routes, its command line's options, its environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from loki_hooks.surface.javascript.shapes import ROUTES, decorator_name, decorators_of, name_of
from loki_hooks.surface.offers import LONGEST_CHAIN, METHODS, Setting, endpoint, option, option_words, setting, under
from loki_hooks.surface.pool import Found
from loki_hooks.surface.spelling import plain, spell
from loki_hooks.surface.syntax import Syntax

_ROUTERS = frozenset({"express", "Router", "express.Router", "fastify", "Fastify", "Hono", "Elysia", "Koa", "KoaRouter",
                      "polka", "restify.createServer"})  # fmt: skip
BY_CUSTOM = frozenset({"app", "router", "server", "fastify"})
"""What an application or a router that another file made is called, by custom."""
_ENVIRONMENTS = frozenset({"process.env", "import.meta.env", "Bun.env"})
_YARGS = frozenset({"alias", "array", "boolean", "choices", "coerce", "count", "default", "demand", "demandOption", "desc",
                    "describe", "description", "number", "required", "requiresArg", "string", "type", "short"})  # fmt: skip
_FUNCTIONS = ("arrow_function", "function_expression", "generator_function")
_AROUND = ("parenthesized_expression", "non_null_expression", "as_expression", "satisfies_expression")


_OFFERING = ("call_expression", "new_expression", "class_declaration", "abstract_class_declaration", "class", "member_expression",
             "subscript_expression", "variable_declarator")  # fmt: skip


class Served:
    """The routers of a file, and the prefixes under which it mounts them."""

    def __init__(self, root: Syntax) -> None:
        self.routers = routers_of(root)
        self.prefixes = _mounts(root, self.routers)


def read_offers(path: str, root: Syntax, served: Served) -> Iterator[Found]:
    """Yield the endpoints and settings of one file."""
    routers, prefixes = served.routers, served.prefixes
    environments = _ENVIRONMENTS | _environments(root)
    for node in root.named_nodes(*_OFFERING):
        if node.kind == "call_expression":
            for key, one in _route(node, path, routers, prefixes):
                yield key, replace(one, owner=_router_of(node, routers))
            yield from _options(node, path)
        elif node.kind == "new_expression" and node.word("constructor") == "Option":
            yield from _flags(node, path, _built_default(node))
        elif node.kind in ("class_declaration", "abstract_class_declaration", "class"):
            yield from _controller(node, path)
        elif node.kind in ("member_expression", "subscript_expression") and node.word("object") in environments:
            yield from _variable(node, path)
        elif node.kind == "variable_declarator" and node.word("value") in environments:
            yield from _destructured(node, path)


# Routes


def routers_of(root: Syntax) -> set[str]:
    """Return the names that stand for an application or a router."""
    found = set()
    for node in root.named_nodes("variable_declarator", "assignment_expression"):
        declared = node.kind == "variable_declarator"
        name, value = (node.get("name"), node.get("value")) if declared else (node.get("left"), node.get("right"))
        made = value.get("function") or value.get("constructor") if value is not None else None
        if name is not None and made is not None and (made.text in _ROUTERS or made.word("property") == "Router"):
            found.add(name.text)
    return found


def mounts_of(root: Syntax, imported: Mapping[str, tuple[str, str]], served: Served) -> Iterator[tuple[str, str]]:
    """Yield (module, prefix) of the routers of other modules that the file serves."""
    for node in root.named_nodes("call_expression"):
        owner, verb, arguments = _call(node)
        if verb not in ("use", "register", "route") or not arguments:
            continue
        path, told = plain(arguments[0]), plain(_pairs(arguments[-1]).get("prefix"))
        for argument in arguments:
            source = imported.get(argument.text, ("", ""))[0] if argument.kind == "identifier" else _required(argument)
            if source:
                yield source, under(served.prefixes.get(owner, ""), path or told or "")


def _required(node: Syntax) -> str:
    """Return the module of ``require('./x')`` and ``import('./x')``."""
    _, verb, arguments = _call(node)
    if node.kind == "call_expression" and node.word("function") == "import":
        listed = node.get("arguments")
        verb, arguments = "require", listed.parts if listed is not None else []
    return (plain(arguments[0]) or "") if verb == "require" and arguments else ""


def _router_of(node: Syntax, routers: set[str]) -> str:
    """Return the name at the beginning of a chain of calls."""
    at: Syntax | None = node
    for _ in range(LONGEST_CHAIN):
        called = at.get("function") if at is not None and at.kind == "call_expression" else None
        at = called.get("object") if called is not None else at
        if called is None:
            break
    return at.text if at is not None and at.kind == "identifier" and at.text in routers | BY_CUSTOM else ""


def _mounts(root: Syntax, routers: set[str]) -> dict[str, str]:
    """Return router → the prefix under which it is mounted, through routers in routers."""
    parents: dict[str, tuple[str, str]] = {}
    for node in root.named_nodes("call_expression") if routers else ():
        owner, verb, arguments = _call(node)
        if verb not in ("use", "register", "route") or len(arguments) < 2:
            continue
        path, told = plain(arguments[0]), _pairs(arguments[-1]).get("prefix")
        for argument in arguments:
            if argument.kind == "identifier" and argument.text in routers:
                below = path if path is not None else plain(told)
                if below is not None:
                    parents[argument.text] = (owner, below)
    own = dict(_own_prefixes(root, routers))
    out = {}
    for router in parents | own:
        prefix, inner, seen = own.get(router, ""), router, set[str]()
        while inner in parents and inner not in seen:
            seen.add(inner)
            inner, mounted = parents[inner]
            prefix = under(own.get(inner, ""), under(mounted, prefix))
        out[router] = prefix
    return out


def _own_prefixes(root: Syntax, routers: set[str]) -> Iterator[tuple[str, str]]:
    """Yield (router, prefix) of ``new Router({ prefix: '/books' })``."""
    for node in root.named_nodes("variable_declarator") if routers else ():
        value = node.get("value") if node.word("name") in routers else None
        arguments = value.get("arguments") if value is not None else None
        prefix = plain(_pairs(arguments.parts[0]).get("prefix")) if arguments is not None and arguments.parts else None
        if prefix:
            yield node.word("name"), prefix


def _route(node: Syntax, file: str, routers: set[str], prefixes: dict[str, str]) -> Iterator[Found]:
    owner, verb, arguments = _call(node)
    if verb == "route" and len(arguments) == 1 and arguments[0].kind == "object" and owner in routers | BY_CUSTOM:
        told = _pairs(arguments[0])
        url, method = plain(told.get("url") or told.get("path")), plain(told.get("method"))
        if url is not None and method is not None:
            yield endpoint(method, under(prefixes.get(owner, ""), url), node, file)
        return
    if verb not in METHODS and verb != "all":
        return
    first = plain(arguments[0]) if arguments else None
    path = _path(node, routers) if first is None else None
    if first is not None and (owner in routers or owner in BY_CUSTOM) and _is_handled(arguments, owner in routers):
        path = (owner, first)
    elif first is not None and not owner and _is_handled(arguments, known=True):
        base = _base(node, routers)
        path = (base, first) if base is not None else None
    if path is not None:
        method = "" if verb == "all" else verb
        yield endpoint(method, under(prefixes.get(path[0], ""), path[1]), arguments[0] if arguments else node, file)


def _base(node: Syntax, routers: set[str]) -> str | None:
    """Return the router that a chain of routes (``app.get(…).post(…)``, ``new Hono().get(…)``) begins with."""
    at: Syntax | None = node
    for _ in range(LONGEST_CHAIN):
        if at is None or at.kind != "call_expression":
            break
        called = at.get("function")
        goes_on = called is not None and (
            called.word("property") in METHODS or called.word("property") in ("use", "all")
        )
        at = called.get("object") if called is not None and goes_on else None
    if at is None:
        return None
    if at.kind == "new_expression" and at.word("constructor") in _ROUTERS:
        return ""
    return at.text if at.kind == "identifier" and at.text in routers | BY_CUSTOM else None


def _is_handled(arguments: list[Syntax], known: bool) -> bool:
    """Do the arguments say a path and who handles it (as opposed to a client's request)?"""
    if len(arguments) < 2 or not (plain(arguments[0]) or "").startswith(("/", "*")):
        return False
    return known or arguments[-1].kind != "object"


def _path(node: Syntax, routers: set[str]) -> tuple[str, str] | None:
    """Return (router, path) for a verb in a chain behind ``router.route(path)``."""
    called = node.get("function")
    at = called.get("object") if called is not None else None
    for _ in range(LONGEST_CHAIN):
        if at is None or at.kind != "call_expression":
            break
        owner, verb, arguments = _call(at)
        if verb == "route" and arguments and (owner in routers or owner in BY_CUSTOM):
            path = plain(arguments[0])
            return (owner, path) if path is not None else None
        if verb not in METHODS and verb != "all":
            break
        called = at.get("function")
        at = called.get("object") if called is not None else None
    return None


def _controller(node: Syntax, file: str) -> Iterator[Found]:
    named = next((one for one in decorators_of(node) if decorator_name(one) == "Controller"), None)
    body = node.get("body")
    if named is None or body is None:
        return
    pending: list[Syntax] = []
    for member in body.parts:
        if member.kind == "decorator":
            pending.append(member)
            continue
        for one in [*pending, *member.all("decorator")]:
            method = decorator_name(one)
            if method in ROUTES:
                for prefix in _decorated_paths(named):
                    for path in _decorated_paths(one):
                        yield endpoint({"All": "", "Sse": "GET"}.get(method, method), under(prefix, path), member, file)
        pending = []


def _decorated_paths(decorator: Syntax) -> list[str]:
    call = decorator.of("call_expression")
    arguments = call.get("arguments") if call is not None else None
    first = arguments.parts[0] if arguments is not None and arguments.parts else None
    if first is not None and first.kind == "object":
        first = _pairs(first).get("path")
    texts = [plain(part) for part in (first.parts if first is not None and first.kind == "array" else [first])]
    return [text or "" for text in texts]


# Options


def _options(node: Syntax, file: str) -> Iterator[Found]:
    _, verb, arguments = _call(node)
    first = arguments[0] if arguments else None
    if first is None:
        return
    if verb in ("option", "requiredOption") and (plain(first) or "").startswith("-"):
        values = [a for a in arguments[2:] if a.kind not in (*_FUNCTIONS, "identifier", "member_expression")]
        default = spell(values[0]) if values and values[0].kind != "object" else ""
        yield from _flags(node, file, default, required=verb == "requiredOption")
    elif verb == "option" and len(arguments) > 1 and plain(first):
        yield from _named(plain(first) or "", first, arguments[1], file)
    elif verb in ("options", "parseArgs") and first.kind == "object":
        inner = _pairs(first).get("options") if verb == "parseArgs" else first
        for name, value in _pairs(inner).items():
            yield from _named(name, value, value, file)


def _flags(node: Syntax, file: str, default: str = "", *, required: bool = False) -> Iterator[Found]:
    arguments = node.get("arguments")
    names, takes = option_words(plain(arguments.parts[0]) or "" if arguments is not None and arguments.parts else "")
    if names:
        yield option(names, arguments or node, file, Setting(takes=takes, default=default, required=required))


def _built_default(node: Syntax) -> str:
    """Return what ``.default(…)`` says in the chain behind ``new Option(…)``."""
    at = node.parent
    while at is not None and at.kind == "member_expression":
        call = at.parent
        arguments = call.get("arguments") if call is not None else None
        if at.word("property") == "default" and arguments is not None and arguments.parts:
            return spell(arguments.parts[0])
        at = call.parent if call is not None else None
    return ""


def _named(name: str, at: Syntax, told: Syntax, file: str) -> Iterator[Found]:
    """Yield the option that ``{ alias: 'c', type: 'string', default: 1 }`` tells of."""
    says = _pairs(told)
    if told.kind != "object" or (says and not set(says) & _YARGS):
        return
    alias = says.get("alias") or says.get("short")
    aliases = (
        [plain(part) or "" for part in (alias.parts if alias.kind == "array" else [alias])] if alias is not None else []
    )
    required = any(says[word].text == "true" for word in ("demandOption", "required", "demand") if word in says)
    kind = plain(says.get("type")) or next((word for word in ("boolean", "number", "string") if word in says), "")
    takes = "flag" if kind in ("boolean", "count") else kind
    names = [f"--{one}" if len(one) > 1 else f"-{one}" for one in (name, *aliases) if one]
    yield option(names, at, file, Setting(takes=takes, default=spell(says.get("default")), required=required))


# The environment


def _environments(root: Syntax) -> set[str]:
    """Return what the file itself calls the environment: ``const env = process.env``, ``const { env } = process``."""
    found = set()
    for node in root.named_nodes("variable_declarator"):
        name = node.get("name")
        if name is not None and name.kind == "identifier" and node.word("value") in _ENVIRONMENTS:
            found.add(name.text)
        elif name is not None and node.word("value") == "process" and any(part.text == "env" for part in name.parts):
            found.add("env")
    return found


def _variable(node: Syntax, file: str) -> Iterator[Found]:
    name = node.word("property") if node.kind == "member_expression" else plain(node.get("index"))
    if not name or _is_written(node):
        return
    yield setting(name, node, file, Setting(default=_fallback(node)))


def _is_written(node: Syntax) -> bool:
    around = node.parent
    if around is None:
        return False
    deleted = around.kind == "unary_expression" and around.has("delete")
    return deleted or (around.kind == "assignment_expression" and node.field == "left")


def _fallback(node: Syntax) -> str:
    """Return what stands in where the variable is not set: behind ``||`` or ``??``."""
    at = node
    while at.parent is not None and at.parent.kind in _AROUND:
        at = at.parent
    around = at.parent
    if (
        around is not None
        and around.kind == "binary_expression"
        and at.field == "left"
        and around.word("operator") in ("||", "??")
    ):
        return spell(around.get("right"))
    return ""


def _destructured(node: Syntax, file: str) -> Iterator[Found]:
    pattern = node.get("name")
    for part in pattern.parts if pattern is not None and pattern.kind == "object_pattern" else []:
        if part.kind == "shorthand_property_identifier_pattern":
            yield setting(part.text, part, file)
        elif part.kind == "object_assignment_pattern":
            yield setting(part.word("left"), part, file, Setting(default=spell(part.get("right"))))
        elif part.kind == "pair_pattern":
            value = part.get("value")
            default = spell(value.get("right")) if value is not None and value.kind == "assignment_pattern" else ""
            yield setting(name_of(part), part, file, Setting(default=default))


# Calls


def _call(node: Syntax) -> tuple[str, str, list[Syntax]]:
    """Return (``router``, ``get``, the arguments) of ``router.get(…)``; nothing where it is no such call."""
    called, arguments = node.get("function"), node.get("arguments")
    if node.kind != "call_expression" or called is None or arguments is None:
        return "", "", []
    if called.kind == "identifier":
        return "", called.text, arguments.parts
    if called.kind != "member_expression":
        return "", "", []
    owner = called.get("object")
    name = owner.text if owner is not None and owner.kind in ("identifier", "member_expression") else ""
    return name, called.word("property"), arguments.parts


def _pairs(node: Syntax | None) -> dict[str, Syntax]:
    """Return key → value of an object literal, {} for anything else."""
    pairs = node.all("pair") if node is not None and node.kind == "object" else []
    return {name_of(pair): value for pair in pairs if (value := pair.get("value")) is not None and name_of(pair)}
