"""The endpoints that a Python file serves: routes of Flask, FastAPI, Starlette and Django, read from its syntax tree.

A route belongs to a router: a variable (``app``, ``router``, ``bp``, ``urlpatterns``). Where a router is included in another, with
or without a prefix, is a mount. :func:`endpoints` puts both together over all files that are known.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from loki_hooks.surface.python.source import Function, Imports, dotted, keyword, last_name, text_of

VERBS = ("get", "post", "put", "patch", "delete", "head", "options", "trace")
URLS = "urlpatterns"
_ROUTERS = {
    "Flask": "", "Blueprint": "url_prefix", "FastAPI": "", "APIRouter": "prefix", "Starlette": "", "Router": "", "Quart": "",
    "APIBlueprint": "url_prefix", "RouteTableDef": "", "DefaultRouter": "", "SimpleRouter": "", "Sanic": "", "Litestar": "",
}  # fmt: skip
"""What makes a router, with the keyword of its prefix."""
_HINT = re.compile(
    r"@[\w.]+\.(?:route|get|post|put|patch|delete|head|options|trace|websocket|api_route|websocket_route)\("
    r"|APIRouter|Blueprint|blueprint|Flask\(|Quart\(|FastAPI\(|Starlette|Route\(|Router\(|urlpatterns|_router\(|add_(?:url|route|api|web|get|post|put|patch|delete|head|view)|aiohttp"
)
"""A file without any of these is not searched for routes: this saves most of the time, and decides nothing else."""
_DJANGO = ("django.urls", "django.conf.urls", "django_distill")
_INJECTED = frozenset({
    "Request", "Response", "WebSocket", "BackgroundTasks", "HTTPConnection", "SecurityScopes", "Session", "AsyncSession",
})  # fmt: skip
_INJECTING = frozenset({"Depends", "Security", "Inject"})
_SIGNATURE = ("response_model", "status_code", "deprecated")


@dataclass(frozen=True)
class Parameter:
    """Of a request. ``default`` is '' where it must be given."""

    name: str
    annotation: str
    default: str

    def __str__(self) -> str:
        return (
            self.name
            + (f": {self.annotation}" if self.annotation else "")
            + (f" = {self.default}" if self.default else "")
        )


@dataclass(frozen=True)
class Route:
    """``method`` is '' where any is served, or it cannot be known. ``path`` is as written, below its router's prefix."""

    router: str
    method: str
    path: str
    line: int
    parameters: tuple[Parameter, ...] = ()
    told: str = ""
    """What else a caller sees: status, model of the response, deprecation."""


@dataclass(frozen=True)
class Mount:
    """``child`` is included in ``parent``: a name in the file, a dotted name, or (``is_module``) a module with ``urlpatterns``."""

    parent: str
    child: str
    prefix: str
    is_module: bool = False
    replaces: bool = False
    """The prefix stands in place of the child's own one."""


@dataclass
class Routes:
    prefixes: dict[str, str] = field(default_factory=dict)
    """Of each router that the file makes."""
    routes: list[Route] = field(default_factory=list)
    mounts: list[Mount] = field(default_factory=list)
    handlers: set[str] = field(default_factory=set)
    """Names, dotted or not, of the functions and classes that serve: the framework calls them, and nobody else."""


def routes_of(tree: ast.Module, text: str, imports: Imports) -> Routes:
    """Return what the file serves (the whole tree: routes may be made inside functions)."""
    reader = _Reader(imports)
    if _HINT.search(text):
        reader.read(tree)
    return reader.found


class _Reader:
    def __init__(self, imports: Imports) -> None:
        self._imports = imports
        self._fastapi = any(
            target.partition(".")[0] == "fastapi" for target in (*imports.names.values(), *imports.local.values())
        )
        self._nested: set[int] = set()
        self._views: dict[str, list[str]] = {}
        """Of classes that serve: the HTTP methods that they have."""
        self.found = Routes()

    def read(self, tree: ast.Module) -> None:
        nodes = list(ast.walk(tree))
        for node in nodes:
            if isinstance(node, ast.ClassDef):
                own = [n.name for n in node.body if isinstance(n, Function) and n.name in VERBS]
                self._views[node.name] = [name.upper() for name in own]
            elif isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Call):
                self._router(node, node.value)
        for node in nodes:
            if isinstance(node, Function):
                self._decorated(node)
            elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for target in targets:
                    if dotted(target) and isinstance(node.value, ast.List | ast.BinOp):
                        self._listed(node.value, dotted(target), "")
            elif isinstance(node, ast.Call):
                self._called(node)

    def _router(self, node: ast.Assign | ast.AnnAssign, call: ast.Call) -> None:
        made = last_name(call.func)
        if made not in _ROUTERS:
            return
        prefix = text_of(keyword(call, _ROUTERS[made])) if _ROUTERS[made] else ""
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            if name := dotted(target):
                self.found.prefixes[name] = prefix or ""
                if (routes := keyword(call, "routes")) is not None:
                    self._listed(routes, name, "")

    def _decorated(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for decorator in function.decorator_list:
            if not (isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Attribute)):
                continue
            router, verb = dotted(decorator.func.value), decorator.func.attr
            if verb not in {*VERBS, "route", "websocket", "api_route", "websocket_route"}:
                continue
            path = text_of(decorator.args[0] if decorator.args else keyword(decorator, "path", "rule"))
            if path is None or not (path.startswith("/") or router in self.found.prefixes):
                continue
            self.found.handlers.add(function.name)
            if self._hidden(decorator):
                continue
            methods = (
                ["WS"]
                if verb.startswith("websocket")
                else [verb.upper()]
                if verb in VERBS
                else self._methods(decorator)
            )
            self._add(router, methods, path, decorator, function)

    def _add(
        self,
        router: str,
        methods: Iterable[str],
        path: str,
        call: ast.Call,
        handler: ast.FunctionDef | ast.AsyncFunctionDef | None = None,
    ) -> None:
        parameters = tuple(_request(handler, path)) if handler and self._fastapi else ()
        told = ", ".join(f"{k.arg}={ast.unparse(k.value)}" for k in call.keywords if k.arg in _SIGNATURE)
        line = handler.lineno if handler else call.lineno
        self.found.routes += [Route(router, method, path, line, parameters, told) for method in methods]

    def _hidden(self, call: ast.Call) -> bool:
        shown = keyword(call, "include_in_schema")
        return isinstance(shown, ast.Constant) and shown.value is False

    def _called(self, call: ast.Call) -> None:
        """Read ``app.include_router(…)`` and its like."""
        if not isinstance(call.func, ast.Attribute):
            return
        parent, verb = dotted(call.func.value), call.func.attr
        first = call.args[0] if call.args else None
        if verb in {"include_router", "register_blueprint"} and (
            child := dotted(first or keyword(call, "router", "blueprint"))
        ):
            prefix = text_of(keyword(call, "prefix", "url_prefix"))
            replaces = verb == "register_blueprint" and prefix is not None
            self.found.mounts.append(Mount(parent, child, prefix or "", replaces=replaces))
        elif verb == "mount" and (path := text_of(first)) and len(call.args) > 1 and (child := dotted(call.args[1])):
            self.found.mounts.append(Mount(parent, child, path))
        elif verb == "add_routes" and isinstance(first, ast.List):
            self._listed(first, parent, "")
        elif verb.removeprefix("add_") in VERBS and verb != verb.removeprefix("add_") and parent.endswith("router"):
            if (path := text_of(first)) is not None and path.startswith("/"):
                self._add(parent, [verb.removeprefix("add_").upper()], path, call)
                self._serves(call.args[1] if len(call.args) > 1 else keyword(call, "handler"))
        elif verb in {"add_url_rule", "add_route", "add_api_route", "add_websocket_route", "add_api_websocket_route"}:
            path = text_of(first)
            if path is not None and path.startswith("/"):
                given = keyword(call, "view_func", "endpoint", "route") or (
                    call.args[-1] if len(call.args) > 1 else None
                )
                handler = self._serves(given)
                self._add(parent, ["WS"] if "websocket" in verb else self._methods(call, handler), path, call)
        elif verb == "register" and parent in self.found.prefixes and (path := text_of(first)) is not None:
            self._add(parent, [""], f"/{path}/", call)
            self._serves(call.args[1] if len(call.args) > 1 else keyword(call, "viewset"))

    def _serves(self, handler: ast.expr | None) -> str:
        """Note what serves, and return its name ('' where it has none)."""
        while isinstance(handler, ast.Call):  # View.as_view(), csrf_exempt(view)
            handler = handler.func.value if isinstance(handler.func, ast.Attribute) else (handler.args or [None])[0]  # type: ignore[list-item]
        if name := dotted(handler):
            self.found.handlers.add(name)
        return name

    def _methods(self, call: ast.Call, handler: str = "") -> list[str]:
        """Return which methods the call says, or the methods of the class that serves have as names."""
        given = keyword(call, "methods")
        if isinstance(given, ast.List | ast.Tuple | ast.Set):
            return [word.upper() for item in given.elts if (word := text_of(item))]
        return self._views.get(handler) or ["GET"]

    def _listed(self, value: ast.expr, router: str, prefix: str) -> None:
        """Read a list of routes, in Starlette's or Django's words; a name is a list that stands elsewhere."""
        if isinstance(value, ast.BinOp):
            self._listed(value.left, router, prefix)
            self._listed(value.right, router, prefix)
        elif isinstance(value, ast.Name | ast.Attribute) and (name := dotted(value)):
            if name != router:
                self.found.mounts.append(Mount(router, name, prefix))
        elif isinstance(value, ast.List | ast.Tuple) and id(value) not in self._nested:
            self._nested.add(id(value))
            for item in value.elts:
                if isinstance(item, ast.Starred):
                    self._listed(item.value, router, prefix)
                elif isinstance(item, ast.Call):
                    self._item(item, router, prefix)

    def _item(self, call: ast.Call, router: str, prefix: str) -> None:
        full = self._imports.full(dotted(call.func))
        word = full.rpartition(".")[2]
        first = text_of(call.args[0] if call.args else keyword(call, "path", "route"))
        if first is None:
            return
        second = call.args[1] if len(call.args) > 1 else keyword(call, "endpoint", "view", "app")
        if full.startswith(_DJANGO) and word in {"path", "re_path", "url"}:
            path = prefix + (_from_pattern(first) if word != "path" else first)
            if isinstance(second, ast.Call) and last_name(second.func) == "include":
                self._included(second, router, path)
            else:
                self._add(router, [""], path, call)
                self._serves(second)
        elif full.startswith("aiohttp.web.") and word in VERBS:
            self._add(router, [word.upper()], prefix + first, call)
            self._serves(second)
        elif word in {"Route", "APIRoute", "WebSocketRoute"}:
            handler = self._serves(second)
            if not self._hidden(call):
                methods = ["WS"] if word == "WebSocketRoute" else self._methods(call, handler)
                self._add(router, methods, prefix + first, call)
        elif word == "Mount":
            inner = keyword(call, "routes")
            if inner is not None:
                self._listed(inner, router, prefix + first)
            elif child := dotted(second):
                self.found.mounts.append(Mount(router, child, prefix + first))

    def _included(self, call: ast.Call, router: str, prefix: str) -> None:
        """Read Django's ``include("blog.urls")``, or of a list, a router's ``urls``, or either in a pair with a namespace."""
        what = call.args[0] if call.args else None
        if isinstance(what, ast.Tuple) and what.elts:
            what = what.elts[0]
        if (module := text_of(what)) is not None:
            self.found.mounts.append(Mount(router, module, prefix, is_module=True))
        elif isinstance(what, ast.List):
            self._listed(what, router, prefix)
        elif name := dotted(what):
            self.found.mounts.append(Mount(router, name.removesuffix(".urls"), prefix))


def _request(function: ast.FunctionDef | ast.AsyncFunctionDef, path: str) -> Iterator[Parameter]:
    """Yield what FastAPI takes from a request for the function: not what it injects, nor what is in the path."""
    args = function.args
    positional = [*args.posonlyargs, *args.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(args.defaults)) + list(args.defaults)
    for arg, default in [*zip(positional, defaults, strict=True), *zip(args.kwonlyargs, args.kw_defaults, strict=True)]:
        words = (
            {last_name(n) for n in ast.walk(arg.annotation) if isinstance(n, ast.Name | ast.Attribute)}
            if arg.annotation
            else set()
        )
        if arg.arg in {"self", "cls"} or words & (_INJECTED | _INJECTING) or last_name(default) in _INJECTING:
            continue
        if f"{{{arg.arg}}}" in path or f"{{{arg.arg}:" in path:
            continue
        yield Parameter(arg.arg, ast.unparse(arg.annotation) if arg.annotation else "", _default(default))


def _default(default: ast.expr | None) -> str:
    if isinstance(default, ast.Call) and last_name(default) in {
        "Query",
        "Body",
        "Header",
        "Cookie",
        "Form",
        "File",
        "Path",
    }:
        default = default.args[0] if default.args else keyword(default, "default")
    if default is None or (isinstance(default, ast.Constant) and default.value is ...):
        return ""
    return ast.unparse(default)


def _from_pattern(pattern: str) -> str:
    """Return a path with ``{name}`` for the groups of a regular expression, as Django matches it."""
    out, depth, start = "", 0, 0
    for at, char in enumerate(pattern):
        if char == "(" and not pattern[:at].endswith("\\"):
            depth += 1
            start = at if depth == 1 else start
        elif char == ")" and not pattern[:at].endswith("\\") and depth:
            depth -= 1
            if depth == 0:
                name = pattern[start:at].partition("?P<")[2].partition(">")[0]
                out += "{" + (name or "value") + "}"
        elif depth == 0 and char not in "^$\\?":
            out += char
    return out


_CONVERTER = re.compile(r"<(?:[^<>:]*:)?\s*([^<>:]+)>|\{([^{}:]+)(?::[^{}]*)?\}")
"""A variable part of a path, in the words of Flask and Django, or of Starlette and FastAPI."""


def shown(path: str) -> str:
    """Return the path as documents write it: ``/users/{id}``."""
    joined = "/" + _CONVERTER.sub(lambda m: "{" + (m[1] or m[2]) + "}", path).lstrip("/")
    while "//" in joined:
        joined = joined.replace("//", "/")
    return joined


def erased(path: str) -> str:
    """Return the path without the names of its variable parts: to callers, they are the same address."""
    return re.sub(r"\{[^{}]*\}", "{}", shown(path)).rstrip("/") or "/"
