"""What a Go program offers: its routes, its flags, its environment."""

from __future__ import annotations

import re
from collections.abc import Iterator

from loki_hooks.domain.surface import Aspect
from loki_hooks.surface.go.names import Names, call, keyed
from loki_hooks.surface.go.routes import read_routes
from loki_hooks.surface.offers import LONGEST_CHAIN, Setting, option, setting
from loki_hooks.surface.pool import UNRESOLVED, Found, constant
from loki_hooks.surface.spelling import plain, spell
from loki_hooks.surface.syntax import Syntax

_FLAGS = frozenset({"String", "Bool", "Int", "Int8", "Int16", "Int32", "Int64", "Uint", "Uint8", "Uint16", "Uint32", "Uint64",
                    "Float32", "Float64", "Duration", "Text", "Func", "BoolFunc", "StringSlice", "StringArray", "IntSlice",
                    "BoolSlice", "StringToString", "Count", "IP", ""})  # fmt: skip
_FLAG_SETS = frozenset({"Flags", "PersistentFlags", "LocalFlags", "InheritedFlags"})


_OFFERING = ("call_expression", "composite_literal", "expression_case", "keyed_element", "field_declaration")


def read_offers(path: str, root: Syntax) -> Iterator[Found]:
    """Yield the endpoints and settings of one file."""
    names = Names(root)
    reads_all = any(text in root.text for text in ("os.Environ()", "os.Getenv(", "os.LookupEnv("))
    yield from _constants(root, path)
    for node in root.named_nodes(*_OFFERING):
        if node.kind == "call_expression":
            yield from read_routes(node, path, names)
            yield from _flag(node, path, names)
            yield from _chained_flag(node, path)
            yield from _variable(node, path, names)
        elif node.kind == "composite_literal":
            yield from _flag_literal(node, path)
            yield from _command(node, path)
        elif reads_all and node.kind in ("expression_case", "keyed_element"):
            yield from _told_apart(node, path)
        elif node.kind == "field_declaration":
            yield from _tagged(node, path)
            yield from _configured(node, path)


# Flags


def _flag(node: Syntax, file: str, names: Names) -> Iterator[Found]:
    owner, verb, arguments = call(node)
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
            names = [one for one in node.every("name") if one.named]
            for name, value in zip(names, values, strict=False):
                if text := plain(value):
                    yield constant(name.text, text, node, file)


_BODIES = ("function_declaration", "method_declaration", "func_literal")


def _chained_flag(node: Syntax, file: str) -> Iterator[Found]:
    """Yield the flag of kingpin's ``app.Flag("port", "…").Default("80").Envar("PORT").Int()``, and its commands."""
    owner, verb, arguments = call(node)
    name = plain(arguments[0]) if len(arguments) == 2 else None
    if owner is None or not name or verb not in ("Flag", "Command") or plain(arguments[1]) is None:
        return
    if verb == "Command":
        yield setting(name, node, file, Setting(takes="command"))
        return
    told: dict[str, Syntax | None] = {}
    at, last = node, ""
    for _ in range(LONGEST_CHAIN):
        if at.parent is None or at.parent.kind != "selector_expression" or at.parent.parent is None:
            break
        last, at = at.parent.word("field"), at.parent.parent
        given = call(at)[2]
        told[last] = given[0] if given else None
    if not told or "Hidden" in told:
        return
    short = told.get("Short")
    aliases = [f"-{short.text.strip(_QUOTES)}"] if short is not None else []
    takes = "flag" if last in ("Bool", "BoolVar", "Counter") else last.removesuffix("Var").lower()
    seen = Setting(takes=takes, default=spell(told.get("Default")), required="Required" in told)
    yield option([f"--{name}", *aliases], node, file, seen)
    variable = plain(told.get("Envar")) if told.get("Envar") is not None else None
    if variable:
        yield setting(variable, node, file)


_QUOTES = "\"'`"


def _configured(node: Syntax, file: str) -> Iterator[Found]:
    """Yield the key of a field of a struct that a file of settings is read into: ``type TLSConfig struct { … `yaml:"…"` }``."""
    pieces = (plain(node.get("tag")) or "").split('"')
    told = {key.strip().removesuffix(":"): value for key, value in zip(pieces[::2], pieces[1::2], strict=False)}
    name = next((told[key].partition(",")[0] for key in _FILE_TAGS if told.get(key)), "")
    around = node.up("type_spec")
    owner = around.word("name") if around is not None else ""
    if name and name != "-" and (owner.endswith(_SETTINGS) or _CONFIG_FILE.search(file)):
        _, one = setting(name, node, file, Setting(takes=spell(node.get("type"))))
        yield (Aspect.CONFIG, name, owner), one


_FILE_TAGS = ("yaml", "toml", "mapstructure", "koanf", "hcl", "ini")
_SETTINGS = ("Config", "Settings", "Options", "Configuration", "Conf", "Opts")
_CONFIG_FILE = re.compile(r"(?:^|/)(?:config|conf|settings|configuration)s?(?:/[^/]+)?\.go$|(?:^|/)config/")


def _dash(owner: Syntax, names: Names, depth: int = 0) -> str:
    """Return how the flags that are defined on ``owner`` are written, '' where it is no set of flags."""
    if owner.kind == "identifier":
        path = names.imports.get(owner.text, "flag" if owner.text == "flag" else "")
        if path == "flag":
            return "-"
        if path.endswith("/pflag"):
            return "--"
        value, _ = names.told(owner)
        return _dash(value, names, depth + 1) if value is not None and depth < 5 else ""
    inner, verb, _ = call(owner)
    if verb in _FLAG_SETS:
        return "--"
    return _dash(inner, names, depth + 1) if inner is not None and verb == "NewFlagSet" and depth < 5 else ""


def _flag_literal(node: Syntax, file: str) -> Iterator[Found]:
    """Yield the flag of ``&cli.StringFlag{Name: "port", Aliases: …}``."""
    kind = node.word("type")
    if not (kind.startswith("cli.") and kind.endswith("Flag")):
        return
    told = keyed(node)
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


def _texts(node: Syntax | None) -> list[str]:
    return [text for one in (node.walk() if node is not None else ()) if (text := plain(one))]


# The environment


def _variable(node: Syntax, file: str, names: Names) -> Iterator[Found]:
    owner, verb, arguments = call(node)
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
    told = keyed(node)
    hidden = told.get("Hidden")
    name = (plain(told.get("Use" if kind == "cobra.Command" else "Name")) or "").partition(" ")[0]
    if name and (hidden is None or hidden.text != "true"):
        yield setting(name, node, file, Setting(takes="command"))


def _fallback(node: Syntax) -> str:
    """Return the last of ``cmp.Or(os.Getenv("X"), "default")``."""
    around = node.parent.parent if node.parent is not None else None
    if around is not None and around.kind == "call_expression" and around.word("function") == "cmp.Or":
        return spell(call(around)[2][-1])
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
