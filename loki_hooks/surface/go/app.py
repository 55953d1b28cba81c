"""What a Go program offers: its routes, its flags, its environment."""

from __future__ import annotations

import re
from collections.abc import Iterator

from loki_hooks.surface.offers import METHODS, Setting, endpoint, option, setting, under
from loki_hooks.surface.pool import UNRESOLVED, Found, constant
from loki_hooks.surface.spelling import plain, spell
from loki_hooks.surface.syntax import Syntax

_SCOPES = ("func_literal", "function_declaration", "method_declaration", "source_file")
_MADE_BY = frozenset({"chi.NewRouter", "chi.NewMux", "fiber.New", "echo.New", "gin.Default", "gin.New", "mux.NewRouter",
                      "iris.New", "http.NewServeMux"})  # fmt: skip
_ROUTER_TYPES = ("chi.Router", "chi.Mux", "fiber.Router", "fiber.App", "mux.Router", "echo.Group", "echo.Echo", "gin.")
_GROUPS = frozenset({"Group", "Route", "PathPrefix", "Party"})
_STEPS = frozenset({"Subrouter", "With"})
"""Calls that hand on the router they are made on."""
_FLAGS = frozenset({"String", "Bool", "Int", "Int8", "Int16", "Int32", "Int64", "Uint", "Uint8", "Uint16", "Uint32", "Uint64",
                    "Float32", "Float64", "Duration", "Text", "Func", "BoolFunc", "StringSlice", "StringArray", "IntSlice",
                    "BoolSlice", "StringToString", "Count", "IP", ""})  # fmt: skip
_FLAG_SETS = frozenset({"Flags", "PersistentFlags", "LocalFlags", "InheritedFlags"})
_REQUIRED = frozenset({"MarkFlagRequired", "MarkPersistentFlagRequired"})


def read_offers(path: str, root: Syntax) -> Iterator[Found]:
    """Yield the endpoints and settings of one file."""
    names = _Names(root)
    reads_all = any(text in root.text for text in ("os.Environ()", "os.Getenv(", "os.LookupEnv("))
    yield from _constants(root, path)
    for node in root.walk():
        if node.kind == "call_expression":
            yield from _route(node, path, names)
            yield from _flag(node, path, names)
            yield from _variable(node, path, names)
        elif node.kind == "composite_literal":
            yield from _flag_literal(node, path)
            yield from _command(node, path)
        elif reads_all and node.kind in ("expression_case", "keyed_element"):
            yield from _told_apart(node, path)
        elif node.kind == "field_declaration":
            yield from _tagged(node, path)


class _Names:
    """What the names of a file stand for, by the scope they are given in."""

    def __init__(self, root: Syntax) -> None:
        self.values: dict[tuple[int, str], Syntax] = {}
        self.types: dict[tuple[int, str], Syntax] = {}
        self.imports: dict[str, str] = {}
        self.required: set[str] = set()
        for node in root.walk():
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
            elif node.kind == "call_expression" and _call(node)[1] in _REQUIRED:
                self.required |= {plain(argument) or "" for argument in _call(node)[2]}

    def _assigned(self, left: Syntax | None, right: Syntax | None, at: Syntax) -> None:
        names = (
            left.parts if left is not None and left.kind == "expression_list" else [left] if left is not None else []
        )
        values = right.parts if right is not None else []
        if names and values and names[0].kind == "identifier":
            self.values.setdefault((_scope(at), names[0].text), values[0])

    def told(self, name: Syntax) -> tuple[Syntax | None, Syntax | None]:
        """Return (value, type) from the nearest scope that gives the name either."""
        at = name.up(*_SCOPES)
        while at is not None:
            key = (at.start, name.text)
            if key in self.values or key in self.types:
                return self.values.get(key), self.types.get(key)
            at = at.up(*_SCOPES)
        return None, None


def _scope(node: Syntax) -> int:
    around = node.up(*_SCOPES)
    return around.start if around is not None else 0


# Routes


def _route(node: Syntax, file: str, names: _Names) -> Iterator[Found]:
    owner, verb, arguments = _call(node)
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
    call = called.parent if called is not None and called.kind == "selector_expression" else None
    if call is None or called is None or called.word("field") != "Methods":
        return []
    return [
        text
        for argument in _call(call)[2]
        if (text := plain(argument) or argument.text.rpartition(".Method")[2].upper())
    ]


def _prefix(owner: Syntax, names: _Names) -> tuple[str, bool]:
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
        inner, verb, arguments = _call(at)
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


def _by_type(name: Syntax, names: _Names, prefix: str) -> tuple[str, bool]:
    _, kind = names.told(name)
    if kind is None:
        return prefix, False
    known = any(word in kind.text for word in _ROUTER_TYPES)
    scope = name.up(*_SCOPES)
    call = scope.up("call_expression") if known and scope is not None and scope.kind == "func_literal" else None
    if call is not None and scope is not None and scope.parent is not None and scope.parent.parent is call:
        owner, verb, arguments = _call(call)  # r.Route("/users", func(r chi.Router) { … })
        path = plain(arguments[0]) if arguments else None
        if owner is not None and verb in _GROUPS:
            outer, _ = _prefix(owner, names)
            return under(outer, under(path or "", prefix)), True
    return prefix, known


# Flags


def _flag(node: Syntax, file: str, names: _Names) -> Iterator[Found]:
    owner, verb, arguments = _call(node)
    dash = _dash(owner, names) if owner is not None else ""
    if not dash or not arguments:
        return
    short = dash == "--" and verb.endswith("P") and verb != "IP"
    base = verb.removesuffix("P") if short else verb
    to_variable = base.endswith("Var")
    base = base.removesuffix("Var")
    if base not in _FLAGS or (not base and not to_variable):
        return
    rest = arguments[1:] if to_variable else arguments
    name = _name(rest[0]) if rest else None
    if not name:
        return
    after = rest[2:] if short else rest[1:]
    alias = plain(rest[1]) if short and len(rest) > 1 else None
    default = spell(after[0]) if len(after) > 1 and base not in ("Func", "BoolFunc", "") else ""
    takes = "flag" if base in ("Bool", "BoolFunc", "Count") else base.lower()
    seen = Setting(takes=takes, default=default, required=name in names.required)
    names_told = [f"{dash}{name}"] if not name.startswith(UNRESOLVED) else [f"{UNRESOLVED}{dash}{name}"]
    yield option([*names_told, *([f"-{alias}"] if alias else [])], node, file, seen)


def _name(node: Syntax) -> str | None:
    """Return what a string says, or which constant says it."""
    if node.kind in ("identifier", "selector_expression"):
        return UNRESOLVED + node.text.rpartition(".")[2]
    return plain(node)


def _constants(root: Syntax, file: str) -> Iterator[Found]:
    for node in root.walk(_BODIES):
        if node.kind in ("const_spec", "var_spec"):
            listed = node.get("value")
            values = listed.parts if listed is not None else []
            for name, value in zip(node.every("name"), values, strict=False):
                if text := plain(value):
                    yield constant(name.text, text, node, file)


_BODIES = ("function_declaration", "method_declaration", "func_literal")


def _dash(owner: Syntax, names: _Names, depth: int = 0) -> str:
    """Return how the flags that are defined on ``owner`` are written, '' where it is no set of flags."""
    if owner.kind == "identifier":
        path = names.imports.get(owner.text, "flag" if owner.text == "flag" else "")
        if path == "flag":
            return "-"
        if path.endswith("/pflag"):
            return "--"
        value, _ = names.told(owner)
        return _dash(value, names, depth + 1) if value is not None and depth < 5 else ""
    inner, verb, _ = _call(owner)
    if verb in _FLAG_SETS:
        return "--"
    return _dash(inner, names, depth + 1) if inner is not None and verb == "NewFlagSet" and depth < 5 else ""


def _flag_literal(node: Syntax, file: str) -> Iterator[Found]:
    """Yield the flag of ``&cli.StringFlag{Name: "port", Aliases: …}``."""
    kind = node.word("type")
    if not (kind.startswith("cli.") and kind.endswith("Flag")):
        return
    told = _keyed(node)
    name = _name(told["Name"]) if "Name" in told else None
    if not name:
        return
    if name.startswith(UNRESOLVED):
        yield setting(f"{UNRESOLVED}--{name}", node, file)
        return
    aliases = [text for text in _texts(told.get("Aliases")) if text]
    names = [f"--{one}" if len(one) > 1 else f"-{one}" for one in (name, *aliases)]
    takes = "flag" if kind == "cli.BoolFlag" else kind.removeprefix("cli.").removesuffix("Flag").lower()
    required = told["Required"].text == "true" if "Required" in told else False
    yield option(names, node, file, Setting(takes=takes, default=spell(told.get("Value")), required=required))
    for variable in _texts(told.get("EnvVars")):
        yield setting(variable, node, file)


def _keyed(node: Syntax) -> dict[str, Syntax]:
    body = node.get("body")
    pairs = [element.parts for element in body.all("keyed_element")] if body is not None else []
    return {pair[0].text: (pair[1].parts or [pair[1]])[0] for pair in pairs if len(pair) == 2}


def _texts(node: Syntax | None) -> list[str]:
    return [text for one in (node.walk() if node is not None else ()) if (text := plain(one))]


# The environment


def _variable(node: Syntax, file: str, names: _Names) -> Iterator[Found]:
    owner, verb, arguments = _call(node)
    where = owner.text if owner is not None else ""
    name = plain(arguments[0]) if arguments else None
    if arguments and not name and where in ("os", "syscall") and verb in ("Getenv", "LookupEnv"):
        known = names.told(arguments[0])[1] if arguments[0].kind == "identifier" else None
        name = f"{UNRESOLVED}{_name(arguments[0])}" if known is None and _name(arguments[0]) else None
    if not name:
        return
    if where in ("os", "syscall") and verb in ("Getenv", "LookupEnv"):
        yield setting(name, node, file, Setting(default=_fallback(node)))
    elif where == "viper" and (verb.startswith("Get") or verb == "SetDefault"):
        default = spell(arguments[1]) if verb == "SetDefault" and len(arguments) > 1 else ""
        yield setting(name, node, file, Setting(default=default))
    elif not where and verb.lower().startswith(("getenv", "envor")) and name.isupper():
        yield setting(name, node, file, Setting(default=spell(arguments[1]) if len(arguments) > 1 else ""))


def _told_apart(node: Syntax, file: str) -> Iterator[Found]:
    """Yield the variables of ``case "PUMP_SPEED":`` and ``{"PUMP_SPEED": …}`` in a file that reads the environment."""
    named = node.get("value") if node.kind == "expression_case" else node.parts[0] if node.parts else None
    listed = named.parts if named is not None and named.kind in ("expression_list", "literal_element") else [named]
    for one in listed:
        text = plain(one) or ""
        if _VARIABLE.fullmatch(text):
            assert one is not None
            yield setting(text, one, file)


_VARIABLE = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")


def _command(node: Syntax, file: str) -> Iterator[Found]:
    """Yield the command of ``&cobra.Command{Use: "serve [flags]"}`` and ``&cli.Command{Name: "serve"}``."""
    kind = node.word("type")
    if kind not in ("cobra.Command", "cli.Command"):
        return
    told = _keyed(node)
    hidden = told.get("Hidden")
    name = (plain(told.get("Use" if kind == "cobra.Command" else "Name")) or "").partition(" ")[0]
    if name and (hidden is None or hidden.text != "true"):
        yield setting(name, node, file, Setting(takes="command"))


def _fallback(node: Syntax) -> str:
    """Return the last of ``cmp.Or(os.Getenv("X"), "default")``."""
    around = node.parent.parent if node.parent is not None else None
    if around is not None and around.kind == "call_expression" and around.word("function") == "cmp.Or":
        return spell(_call(around)[2][-1])
    return ""


def _tagged(node: Syntax, file: str) -> Iterator[Found]:
    """Yield what a field's tag binds: ``env:"PORT" envDefault:"80"``, ``long:"output" short:"o"``."""
    tag = plain(node.get("tag")) or ""
    pieces = tag.split('"')
    told = {key.strip().removesuffix(":"): value for key, value in zip(pieces[::2], pieces[1::2], strict=False)}
    default = told.get("envDefault", told.get("default", ""))
    required = told.get("required") == "true"
    name = (told.get("env") or told.get("envconfig") or "").split(",")[0]
    if name:
        yield setting(name, node, file, Setting(default=default, required=required))
    if told.get("long"):
        names = [f"--{told['long']}", *([f"-{told['short']}"] if told.get("short") else [])]
        yield option(names, node, file, Setting(default=default, required=required))


def _call(node: Syntax) -> tuple[Syntax | None, str, list[Syntax]]:
    """Return (``r``, ``GET``, the arguments) of ``r.GET(…)``."""
    called, arguments = node.get("function"), node.get("arguments")
    if node.kind != "call_expression" or called is None or arguments is None:
        return None, "", []
    if called.kind == "selector_expression":
        return called.get("operand"), called.word("field"), arguments.parts
    return None, called.text if called.kind == "identifier" else "", arguments.parts
