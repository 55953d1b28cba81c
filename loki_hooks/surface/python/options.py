"""The options that a Python file takes: argparse, click and typer parameters, and variables that it reads from the environment."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from loki_hooks.surface.python.source import Function, Imports, dotted, keyword, last_name, text_of

_HINTS = (
    "environ",
    "getenv",
    "add_argument",
    "add_option",
    "add_parser",
    "click",
    "typer",
    "decouple",
    "environs",
    "Env(",
)
_GROUPS = frozenset({"add_argument_group", "add_mutually_exclusive_group", "add_option_group", "add_parser"})
_PARSERS = _GROUPS | {"ArgumentParser", "OptionParser"}
_TOLD = (
    "type",
    "nargs",
    "action",
    "choices",
    "required",
    "default",
    "const",
    "is_flag",
    "flag_value",
    "multiple",
    "count",
    "min",
    "max",
)
_READS = frozenset({"get", "setdefault", "pop"})
_ENV_TYPES = frozenset({"str", "bool", "int", "float", "list", "dict", "json", "url", "path", "decimal", "db", "cache"})


@dataclass(frozen=True)
class Option:
    """``scope`` is the command or parser it belongs to: two commands may have options of the same name."""

    name: str
    scope: str
    line: int
    seen: str = ""
    required: bool = False
    flags: tuple[str, ...] = ()
    takes: str = ""
    """How it is given: a switch, a value, several."""
    choices: tuple[str, ...] = ()
    is_variable: bool = False
    """Of the environment: one and the same wherever it is read."""
    default: str = ""


def options_of(tree: ast.Module, text: str, imports: Imports) -> tuple[list[Option], set[str]]:
    """Return the options of the file (the whole tree), and which functions are commands: nobody calls those."""
    if not any(hint in text for hint in _HINTS):
        return [], set()
    reader = _Reader(tree, imports)
    return reader.options, reader.commands


class _Reader:
    def __init__(self, tree: ast.Module, imports: Imports) -> None:
        self._imports = imports
        self._constants = dict(_constants(tree))
        self._commands_of: dict[str, str] = {}
        self._environs: set[str] = set()
        self._parsers: dict[str, str] = {}
        sources = {t.partition(".")[0] for t in (*imports.names.values(), *imports.local.values())}
        self._argparse = not sources.isdisjoint({"argparse", "optparse"})
        self._parameters: dict[str, list[str]] = {}
        """Of each function."""
        self._readers: dict[str, int] = {}
        """Functions of the file that read the variable which they are told, and as which argument."""
        self.options: list[Option] = []
        self.commands: set[str] = set()
        self._walk(tree, "")

    def _walk(self, tree: ast.AST, scope: str) -> None:
        """Read every node in the order of the source, with the name of the function that it is in (or decorates)."""
        waiting: list[tuple[ast.AST, str]] = [(tree, scope)]
        while waiting:
            node, scope = waiting.pop()
            if isinstance(node, Function):
                scope = node.name
                self._parameters[scope] = [a.arg for a in (*node.args.posonlyargs, *node.args.args)]
                self._function(node)
            elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
                self._assigned(node)
            if isinstance(node, ast.Call):
                self._call(node, scope)
            elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load) and self._is_environ(node.value):
                self._variable(node.slice, node.lineno, None, required=True, scope=scope)
            elif isinstance(node, ast.Compare) and len(node.comparators) == 1 and self._is_environ(node.comparators[0]):
                self._variable(node.left, node.lineno, None, required=False, scope=scope)
            waiting += [(child, scope) for child in reversed(list(ast.iter_child_nodes(node)))]

    def _value(self, node: ast.expr) -> ast.expr:
        """Return a constant of the file by its value."""
        return self._constants.get(node.id, node) if isinstance(node, ast.Name) else node

    def _full(self, node: ast.AST | None) -> str:
        return self._imports.full(dotted(node))

    # argparse

    def _assigned(self, node: ast.Assign) -> None:
        call = node.value
        assert isinstance(call, ast.Call)
        word = last_name(call.func)
        for target in node.targets:
            name = dotted(target)
            if not name:
                continue
            if word == "add_parser":
                self._parsers[name] = text_of(call.args[0] if call.args else None) or name
            elif word in _PARSERS and isinstance(call.func, ast.Attribute):
                self._parsers[name] = self._parsers.get(dotted(call.func.value), "")
            elif word in _PARSERS or (word.endswith("Parser") and self._argparse):
                self._parsers[name] = ""
            elif self._full(call.func) in {"environ.Env", "environs.Env", "environ.FileAwareEnv"}:
                self._environs.add(name)

    def _is_parser(self, name: str) -> bool:
        last = name.rpartition(".")[2].lower()
        return name in self._parsers or (self._argparse and ("pars" in last or "group" in last)) or last == "parser"

    def _argument(self, call: ast.Call, scope: str, owner: str) -> None:
        flags = [word for a in call.args if (word := text_of(a))]
        name = _longest(flags)
        if not name or dotted(keyword(call, "help")).endswith("SUPPRESS"):
            return
        flagged = name.startswith("-")
        required = _is_true(keyword(call, "required")) if flagged else keyword(call, "nargs") is None
        place = self._parsers.get(owner, scope if owner not in self._parsers else "")
        self._add(call, name, place, flags, required=required)

    # click and typer

    def _function(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        typer = any(t.partition(".")[0] == "typer" for t in self._imports.names.values())
        for decorator in function.decorator_list:
            word = last_name(decorator)
            if word not in {"command", "group", "callback", "result_callback"}:
                continue
            owner = decorator.func if isinstance(decorator, ast.Call) else decorator
            full = self._full(owner)
            if not isinstance(owner, ast.Attribute) and not full.startswith(("click.", "rich_click.", "asyncclick.")):
                continue
            self.commands.add(function.name)
            given = text_of(decorator.args[0]) if isinstance(decorator, ast.Call) and decorator.args else None
            if isinstance(decorator, ast.Call):
                given = given or text_of(keyword(decorator, "name"))
            name = given or function.name.replace("_", "-")
            self._commands_of[function.name] = name
            hidden = isinstance(decorator, ast.Call) and _is_true(keyword(decorator, "hidden"))
            attached = not full.startswith(("click.", "rich_click.", "asyncclick."))
            if attached and word in {"command", "group"} and not hidden:
                self.options.append(Option(name, "", function.lineno, "command"))
            if typer and attached:
                self._typer(function, name)

    def _typer(self, function: ast.FunctionDef | ast.AsyncFunctionDef, command: str) -> None:
        args = function.args
        positional = [*args.posonlyargs, *args.args]
        defaults: list[ast.expr | None] = [None] * (len(positional) - len(args.defaults)) + list(args.defaults)
        for arg, default in [
            *zip(positional, defaults, strict=True),
            *zip(args.kwonlyargs, args.kw_defaults, strict=True),
        ]:
            kind, annotation = arg.annotation, arg.annotation
            said = default if isinstance(default, ast.Call) and last_name(default) in {"Option", "Argument"} else None
            value = (said.args[0] if said.args else keyword(said, "default")) if said else default
            flags = [word for a in said.args[1:] if (word := text_of(a))] if said else []
            if (
                isinstance(annotation, ast.Subscript)
                and last_name(annotation.value) == "Annotated"
                and isinstance(annotation.slice, ast.Tuple)
            ):
                kind = annotation.slice.elts[0]
                for extra in annotation.slice.elts[1:]:
                    if isinstance(extra, ast.Call) and last_name(extra) in {"Option", "Argument"}:
                        said, flags = extra, [word for a in extra.args if (word := text_of(a))]
            if last_name(kind) == "Context" or (said and _is_true(keyword(said, "hidden"))):
                continue
            optional = value is not None and not (isinstance(value, ast.Constant) and value.value is ...)
            is_option = bool(said and last_name(said) == "Option") or (said is None and optional)
            name = _longest(flags) or (f"--{arg.arg.replace('_', '-')}" if is_option else arg.arg)
            seen = ", ".join(
                filter(
                    None,
                    (
                        ast.unparse(kind) if kind else "",
                        f"default={ast.unparse(self._value(value))}" if optional and value else "",
                    ),
                )
            )
            self.options.append(Option(name, command, arg.lineno, seen, not optional, tuple(sorted({name, *flags}))))

    def _click(self, call: ast.Call, scope: str, word: str) -> None:
        declared = call.args
        if word in {"Option", "Argument"}:
            first = call.args[0] if call.args else keyword(call, "param_decls")
            declared = list(first.elts) if isinstance(first, ast.List | ast.Tuple) else call.args
        said = [text for a in declared if (text := text_of(a))]
        flags = [part.strip() for text in said if text.startswith("-") for part in text.replace(";", "/").split("/")]
        name = _longest([f for f in flags if f] or said)
        if not name or _is_true(keyword(call, "hidden")):
            return
        variable = keyword(call, "envvar")
        for item in variable.elts if isinstance(variable, ast.List | ast.Tuple) else [variable] if variable else []:
            self._variable(item, call.lineno, None, required=False)
        positional = not name.startswith("-")
        required = (
            keyword(call, "default") is None and not (keyword(call, "required") or keyword(call, "nargs"))
            if positional
            else False
        )
        first_long = next((f for f in flags if f.startswith("--")), name)
        self._add(
            call,
            first_long,
            self._commands_of.get(scope, scope),
            flags,
            required=required or _is_true(keyword(call, "required")),
        )

    def _add(self, call: ast.Call, name: str, scope: str, flags: list[str], *, required: bool) -> None:
        given = {k.arg: k.value for k in call.keywords if k.arg in _TOLD}
        given = {word: value for word, value in given.items() if not _says_nothing(word, value, given)}
        told = ", ".join(f"{word}={ast.unparse(_plain(self._value(given[word])))}" for word in _TOLD if word in given)
        choices = given.get("choices", given.get("type"))
        choices = self._value(choices) if choices is not None else None
        if isinstance(choices, ast.Call) and last_name(choices) == "Choice":
            choices = choices.args[0] if choices.args else None
        among = (
            tuple(ast.unparse(item) for item in choices.elts)
            if isinstance(choices, ast.List | ast.Tuple | ast.Set)
            else ()
        )
        seen = f"{' '.join(sorted(set(flags)))} {told}".strip()
        default = ast.unparse(given["default"]) if "default" in given else ""
        counted = ("nargs", "action", "is_flag", "multiple")
        takes = ", ".join(f"{word}={ast.unparse(given[word])}" for word in counted if word in given)
        spellings = tuple(sorted(set(flags)))
        self.options.append(Option(name, scope, call.lineno, seen, required, spellings, takes, among, default=default))

    # the environment

    def _call(self, call: ast.Call, scope: str) -> None:
        func = call.func
        word = last_name(func)
        if word in {"add_argument", "add_option"} and isinstance(func, ast.Attribute):
            if self._is_parser(dotted(func.value)) or (
                isinstance(func.value, ast.Call) and last_name(func.value) in _PARSERS
            ):
                self._argument(call, scope, dotted(func.value))
            return
        if (
            word == "add_parser"
            and isinstance(func, ast.Attribute)
            and (name := text_of(call.args[0] if call.args else None))
        ):
            if not dotted(keyword(call, "help")).endswith("SUPPRESS"):
                self.options.append(Option(name, "", call.lineno, "command"))
            return
        full = self._full(func)
        if full in {
            f"{m}.{w}"
            for m in ("click", "rich_click", "asyncclick")
            for w in ("option", "argument", "Option", "Argument")
        }:
            self._click(call, scope, word)
            return
        default = call.args[1] if len(call.args) > 1 else keyword(call, "default")
        first = call.args[0] if call.args else keyword(call, "key")
        if full in {"os.getenv", "os.getenvb"} or (
            isinstance(func, ast.Attribute) and word in _READS and self._is_environ(func.value)
        ):
            self._variable(first, call.lineno, default, required=word == "pop" and default is None, scope=scope)
        elif dotted(func) in self._readers and len(call.args) > (at := self._readers[dotted(func)]):
            self._variable(
                call.args[at], call.lineno, call.args[at + 1] if len(call.args) > at + 1 else default, required=False
            )
        elif full == "decouple.config" or (
            self._environs
            and (
                dotted(func) in self._environs
                or (word in _ENV_TYPES and dotted(getattr(func, "value", None)) in self._environs)
            )
        ):
            self._variable(first, call.lineno, default, required=default is None)

    def _is_environ(self, node: ast.AST) -> bool:
        return self._full(node) in {"os.environ", "os.environb"}

    def _variable(
        self, name: ast.expr | None, line: int, default: ast.expr | None, *, required: bool, scope: str = ""
    ) -> None:
        text = text_of(name)
        if text is None and isinstance(name, ast.Name):
            text = text_of(self._value(name))
            if name.id in self._parameters.get(scope, []):
                self._readers[scope] = self._parameters[scope].index(name.id)
        if text:
            shown = "" if default is None else ast.unparse(self._value(default))
            self.options.append(Option(text, "", line, shown, required, is_variable=True, default=shown))


def _says_nothing(word: str, value: ast.expr, given: Mapping[str, ast.expr]) -> bool:
    """Whether an argument says what holds without it."""
    if not isinstance(value, ast.Constant):
        return word == "type" and last_name(value) == "str"
    flags = {"store_true": False, "store_false": True}
    action = text_of(given.get("action")) or ""
    if word == "default":
        is_flag = _is_true(given.get("is_flag"))
        return (
            value.value is None
            or (action in flags and value.value is flags[action])
            or (is_flag and value.value is False)
        )
    return value.value in {"required": (False,), "multiple": (False,), "count": (False,), "is_flag": (False,),
                           "action": ("store",), "nargs": (None,), "const": (None,)}.get(word, ())  # fmt: skip


def _constants(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """Yield the names that the module gives to literals."""
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            inner = node.value.elts if isinstance(node.value, ast.List | ast.Tuple | ast.Set) else [node.value]
            if all(isinstance(n, ast.Constant | ast.UnaryOp) for n in inner):
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    if isinstance(target, ast.Name):
                        yield target.id, node.value


def _plain(node: ast.expr) -> ast.expr:
    """Return a set or tuple of choices as a list: the same to who types them."""
    return ast.List(node.elts, ast.Load()) if isinstance(node, ast.Tuple | ast.Set) else node


def _longest(flags: list[str]) -> str:
    """Return the first flag with two dashes, else the first of all."""
    return next((f for f in flags if f.startswith("--")), flags[0] if flags else "")


def _is_true(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def merged(options: list[Option]) -> Iterator[Option]:
    """Yield the options with each variable of the environment once: where it is first read, and with all its defaults."""
    variables: dict[str, list[Option]] = {}
    for option in options:
        if option.is_variable:
            variables.setdefault(option.name, []).append(option)
        else:
            yield option
    for name, reads in variables.items():
        seen = ", ".join(sorted({o.seen for o in reads if o.seen}))
        first = min(reads, key=lambda o: o.line)
        required = all(o.required for o in reads)
        yield Option(
            name,
            "",
            first.line,
            seen,
            required,
            is_variable=True,
            default=next((o.default for o in reads if o.default), ""),
        )


def breaks(old: Option, new: Option) -> bool:
    """Return whether a command line or an environment that worked may fail."""
    return (
        (new.required and not old.required)
        or not set(old.flags) <= set(new.flags)
        or bool(new.choices and not set(old.choices or ("",)) <= set(new.choices))
        or old.takes != new.takes
    )
