"""What a Rust program offers: its routes, its command line's options, its environment."""

from __future__ import annotations

import re
from collections.abc import Iterator

from loki_hooks.domain.surface import Aspect
from loki_hooks.surface.offers import LONGEST_CHAIN, METHODS, Setting, endpoint, option, setting, under
from loki_hooks.surface.pool import UNRESOLVED, Found, constant
from loki_hooks.surface.rust.items import attribute_arguments, attribute_name, attributed, is_hidden
from loki_hooks.surface.spelling import plain, spell
from loki_hooks.surface.syntax import Syntax

_CLAP = frozenset({"arg", "clap", "structopt", "command"})
_VARIABLES = ("env::var", "env::var_os", "dotenvy::var", "dotenv::var")
_OPTIONAL = ("Option<", "Vec<")
_PREFIXES = frozenset({"nest", "nest_service", "merge", "scope"})


def read_offers(path: str, root: Syntax) -> Iterator[Found]:
    """Yield the endpoints and settings of one file."""
    if path.rpartition("/")[2] == "build.rs":
        return  # it runs while the crate is built
    places = _Places(root)
    for node in _living(root):
        if node.kind in ("const_item", "static_item") and (text := plain(node.get("value"))):
            yield constant(node.word("name"), text, node, path)
        if node.kind == "call_expression":
            yield from _route(node, path, places)
            yield from _variable(node, path)
            yield from _built_option(node, path)
        elif node.kind == "macro_invocation" and node.word("macro") in ("option_env", "env"):
            name = next((text for part in node.walk() if (text := plain(part))), "")
            if name and not name.startswith("CARGO_"):
                yield setting(name, node, path)
        elif node.kind == "attribute_item":
            yield from _attribute_route(node, path, places)
            if attribute_name(node) in _CLAP:
                yield from _derived_option(node, path)
            elif attribute_name(node) == "derive" and "Subcommand" in node.text:
                yield from _subcommands(node, path)
            elif attribute_name(node) == "derive" and "Deserialize" in node.text:
                yield from _configured(node, path)


def _living(root: Syntax) -> Iterator[Syntax]:
    """Yield each node but those that are there for tests alone."""
    todo = [root]
    while todo:
        node = todo.pop()
        yield node
        dead = (
            {id(item) for item, attributes in attributed(node) if is_hidden(attributes)}
            if node.of("attribute_item")
            else set()
        )
        todo += [child for child in reversed(node.children) if id(child) not in dead]


# Routes


class _Places:
    """Where the routers of a file hang: by the name of the function or variable that makes one."""

    def __init__(self, root: Syntax) -> None:
        self.hung: dict[str, Syntax] = {}
        self.mounted: dict[str, str] = {}
        for node in root.walk():
            _, verb, arguments = _call(node)
            if verb in ("nest", "merge", "nest_service") and arguments:
                made = arguments[-1]
                name = made.word("function") if made.kind == "call_expression" else made.text
                self.hung.setdefault(name, arguments[-1])
            elif verb == "mount" and len(arguments) == 2 and arguments[1].kind == "macro_invocation":
                for part in arguments[1].walk():
                    if part.kind == "identifier":
                        self.mounted[part.text] = plain(arguments[0]) or ""
            elif verb == "service" and arguments and arguments[0].kind == "identifier":
                self.mounted[arguments[0].text] = _scope(node)

    def prefix(self, node: Syntax) -> str:
        """Return the path under which what is made at ``node`` hangs."""
        prefix, at, seen = "", node, set[str]()
        for _ in range(5 * LONGEST_CHAIN):
            around = at.parent
            if around is None:
                break
            name = ""
            if around.kind == "arguments" and around.parent is not None:
                _, verb, arguments = _call(around.parent)
                if verb in _PREFIXES and len(arguments) > 1 and at is not arguments[0]:
                    prefix = under(plain(arguments[0]) or "", prefix)
                elif verb == "service":
                    prefix = under(_scope(around.parent), prefix)
            elif around.kind == "let_declaration" and at.field == "value":
                name = around.word("pattern")
            elif around.kind == "function_item":
                name = around.word("name")
            at = around
            if name in self.hung and name not in seen:
                seen.add(name)
                at = self.hung[name]
        return prefix


def _scope(node: Syntax) -> str:
    """Return the prefix of the ``web::scope("/api")`` that a chain of calls begins with."""
    at: Syntax | None = node
    for _ in range(LONGEST_CHAIN):
        called = at.get("function") if at is not None and at.kind == "call_expression" else None
        if at is None or called is None:
            break
        if _named(called) in ("scope", "web::scope", "actix_web::web::scope"):
            _, _, arguments = _call(at)
            return (plain(arguments[0]) or "") if arguments else ""
        at = called.get("value") if called.kind == "field_expression" else None
    return ""


def _route(node: Syntax, file: str, places: _Places) -> Iterator[Found]:
    _, verb, arguments = _call(node)
    path = plain(arguments[0]) if len(arguments) > 1 else None
    if verb != "route" or path is None:
        return
    prefix = under(places.prefix(node), _scope(node))
    for method in _methods(arguments[1]):
        yield endpoint(method, under(prefix, path), arguments[0], file)


def _methods(node: Syntax) -> list[str]:
    """Return the methods that ``get(list).post(create)`` and ``web::get().to(list)`` serve, '' for any."""
    found: list[str] = []
    at: Syntax | None = node
    while at is not None and at.kind == "call_expression":
        called = at.get("function")
        if called is None:
            break
        verb = called.word("field") or called.word("name") or called.text
        if verb in METHODS or verb == "any":
            found.append("" if verb == "any" else verb)
        at = called.get("value") if called.kind == "field_expression" else None
    return found[::-1]


def _attribute_route(item: Syntax, file: str, places: _Places) -> Iterator[Found]:
    method, arguments = attribute_name(item).rpartition("::")[2], attribute_arguments(item)
    path = (
        next((text for part in arguments.parts if (text := plain(part)) is not None), None)
        if arguments is not None
        else None
    )
    if method in METHODS and path is not None and path.startswith("/"):
        prefix = places.mounted.get(_function_below(item), "")
        yield endpoint(method, under(prefix, path), item, file)


def _function_below(item: Syntax) -> str:
    beside = item.parent.parts if item.parent is not None else []
    below = (node for node in beside[beside.index(item) + 1 :] if node.kind != "attribute_item")
    return next(below, item).word("name")


# Options


def _derived_option(item: Syntax, file: str) -> Iterator[Found]:
    """Yield the option of a field under ``#[arg(long, default_value = "1")]``."""
    arguments = attribute_arguments(item)
    beside = item.parent.parts if item.parent is not None else []
    below = next((node for node in beside[beside.index(item) + 1 :] if node.kind != "attribute_item"), None)
    if arguments is None or below is None or below.kind != "field_declaration":
        return
    told, name, kind = _told(arguments), below.word("name").strip("_"), spell(below.get("type"))
    names = []
    if "long" in told:
        names.append(f"--{told['long'].strip(_MARKS) or name.replace('_', '-')}")
    if "short" in told:
        names.append(f"-{told['short'].strip(_MARKS) or name[:1]}")
    default = told.get("default_value", told.get("default_value_t", ""))
    flag = kind in ("bool", "()") or any(word in told.get("action", "") for word in ("SetTrue", "SetFalse", "Count"))
    required = "default_value_t" not in told and not default and not flag and not kind.startswith(_OPTIONAL)
    takes = "flag" if flag else "value"
    if names:
        scope = below.up("struct_item", "enum_variant", "enum_item")
        _, one = option(names, below, file, Setting(takes=takes, default=default, required=required))
        yield (Aspect.CONFIG, one.name, scope.word("name") if scope is not None else ""), one
    if "env" in told:
        variable = told["env"]
        named = variable.strip(_MARKS) if variable.startswith('"') or not variable else _constant(variable)
        yield setting(named or name.upper(), below, file, Setting(default=default))


def _constant(text: str) -> str:
    """Return a name that ``Names::PUMP_TOKEN`` stands for, wherever that is."""
    return f"{UNRESOLVED}{UNRESOLVED}{text.replace('::', '.').rpartition('.')[2]}"


def _subcommands(item: Syntax, file: str) -> Iterator[Found]:
    """Yield the commands that the variants of an enum under ``#[derive(Subcommand)]`` are."""
    beside = item.parent.parts if item.parent is not None else []
    below = next((node for node in beside[beside.index(item) + 1 :] if node.kind != "attribute_item"), None)
    body = below.get("body") if below is not None and below.kind == "enum_item" else None
    for variant, attributes in attributed(body) if body is not None else ():
        told: dict[str, str] = {}
        for one in attributes:
            arguments = attribute_arguments(one)
            if attribute_name(one) in _CLAP and arguments is not None:
                told |= _told(arguments)
        if variant.kind == "enum_variant" and not told.keys() & {"hide", "flatten", "external_subcommand"}:
            name = told.get("name", "").strip(_MARKS) or _KEBAB.sub("-", variant.word("name")).lower()
            yield setting(name, variant, file, Setting(takes="command"))


def _configured(item: Syntax, file: str) -> Iterator[Found]:
    """Yield the keys of a struct that a file of settings is read into: ``#[derive(Deserialize)] struct Config { … }``."""
    beside = item.parent.parts if item.parent is not None else []
    below = next((node for node in beside[beside.index(item) + 1 :] if node.kind != "attribute_item"), None)
    name = below.word("name") if below is not None and below.kind == "struct_item" else ""
    body = below.get("body") if below is not None and name.endswith(("Config", "Settings", "Configuration")) else None
    kebab = any('rename_all = "kebab-case"' in one.text for one in beside if one.end <= (below or item).start)
    for field, attributes in attributed(body) if body is not None else ():
        told: dict[str, str] = {}
        for one in attributes:
            arguments = attribute_arguments(one)
            if attribute_name(one) == "serde" and arguments is not None:
                told |= _told(arguments)
        if field.kind == "field_declaration" and not told.keys() & {"skip", "flatten", "skip_deserializing"}:
            key = told.get("rename", "").strip(_MARKS) or field.word("name").replace("_", "-" if kebab else "_")
            _, one_key = setting(key, field, file, Setting(takes=spell(field.get("type"))))
            yield (Aspect.CONFIG, key, name), one_key


_KEBAB = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_MARKS = "\"'"


def _told(arguments: Syntax) -> dict[str, str]:
    """Return key → value of ``(long, default_value = "1")``; '' where none is given."""
    out: dict[str, str] = {}
    key, value = "", ""
    for part in [*arguments.children[1:-1], None]:
        if part is None or part.kind == ",":
            out |= {key: value} if key else {}
            key, value = "", ""
        elif not key:
            key = part.text
        elif part.kind != "=":
            value += spell(part)
    return out


def _built_option(node: Syntax, file: str) -> Iterator[Found]:
    """Yield the option of ``Arg::new("jobs").long("jobs").default_value("1")``."""
    called = node.get("function")
    if called is None or not _named(called).endswith(("Arg::new", "Arg::with_name")):
        return
    told: dict[str, Syntax | None] = {}
    at = node
    while at.parent is not None and at.parent.kind == "field_expression" and at.parent.parent is not None:
        verb, at = at.parent.word("field"), at.parent.parent
        arguments = _call(at)[2]
        told[verb] = arguments[0] if arguments else None
    names = [f"--{long}"] if (long := plain(told.get("long"))) else []
    if (short := plain(told.get("short"))) is not None:
        names.append(f"-{short}")
    required = (
        told["required"].text == "true"
        if (flag := told.get("required")) is not None and flag is told["required"]
        else False
    )
    if names:
        yield option(names, node, file, Setting(default=spell(told.get("default_value")), required=required))
    if variable := plain(told.get("env")):
        yield setting(variable, node, file)


# The environment


def _variable(node: Syntax, file: str) -> Iterator[Found]:
    called = node.get("function")
    _, _, arguments = _call(node)
    first = arguments[0] if arguments else None
    name = plain(first) if first is not None else None
    if first is not None and name is None and first.text.rpartition("::")[2].isupper():
        name = _constant(first.text)
    if called is not None and name and _named(called).endswith(_VARIABLES):
        yield setting(name, node, file, Setting(default=_fallback(node)))


def _fallback(node: Syntax) -> str:
    """Return what ``.unwrap_or(…)`` gives in the chain behind a read."""
    at = node
    while at.parent is not None and at.parent.kind == "field_expression" and at.parent.parent is not None:
        verb, at = at.parent.word("field"), at.parent.parent
        arguments = _call(at)[2]
        if verb.startswith("unwrap_or") and arguments:
            made = arguments[0].get("body") if arguments[0].kind == "closure_expression" else arguments[0]
            return spell(made)
    return ""


def _call(node: Syntax) -> tuple[Syntax | None, str, list[Syntax]]:
    """Return (``router``, ``route``, the arguments) of ``router.route(…)``; the name alone of a function that is called."""
    called, arguments = node.get("function"), node.get("arguments")
    if node.kind != "call_expression" or called is None or arguments is None:
        return None, "", []
    if called.kind == "field_expression":
        return called.get("value"), called.word("field"), arguments.parts
    return None, called.word("name") or _named(called), arguments.parts


def _named(called: Syntax) -> str:
    """Return the path of a function that is called by its name, '' for what is made by other calls."""
    return called.text if called.kind in ("identifier", "scoped_identifier") else ""
