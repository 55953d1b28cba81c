"""What a Java application offers: its routes, its properties, its command line's options, its environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from loki_hooks.surface.offers import Setting, endpoint, option, setting, under
from loki_hooks.surface.pool import Found
from loki_hooks.surface.shape import Param
from loki_hooks.surface.spelling import plain, spell
from loki_hooks.surface.syntax import Syntax

SERVED = frozenset({"RestController", "Controller", "RestControllerAdvice", "ControllerAdvice", "Configuration", "Path",
                    "SpringBootApplication", "ConfigurationProperties"})  # fmt: skip
"""What stands under these is reached through its framework, not called."""
_MAPPINGS = {
    "RequestMapping": "",
    **{f"{verb.title()}Mapping": verb for verb in ("GET", "POST", "PUT", "DELETE", "PATCH")},
}
_VERBS = frozenset({"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"})
_TYPES = ("class_declaration", "interface_declaration", "record_declaration")
_BOUND = frozenset({"RequestParam", "RequestHeader", "CookieValue", "RequestPart", "QueryParam", "HeaderParam"})
_CLIENTS = frozenset({"FeignClient", "HttpExchange", "RegisterRestClient"})
"""A type under one of these calls what another program serves."""
_PROPERTIES = (
    "env.getProperty",
    "environment.getProperty",
    "env.getRequiredProperty",
    "environment.getRequiredProperty",
)
_MACHINE = ("java.", "os.", "user.", "file.", "line.", "path.", "sun.")
"""What the machine says of itself is no setting."""
_DEPTH = 20
_LONGEST = 200


def read_offers(path: str, root: Syntax) -> Iterator[Found]:
    """Yield the endpoints and settings of one file."""
    constants = _constants(root)
    for node in root.named_nodes(*_TYPES, "method_invocation", "annotation", "marker_annotation"):
        if node.kind in _TYPES:
            yield from _endpoints(node, path, constants)
            yield from _properties(node, path)
        elif node.kind == "method_invocation":
            yield from _variable(node, path)
            yield from _added_option(node, path)
        elif node.kind in ("annotation", "marker_annotation"):
            yield from _value(node, path)
            yield from _option(node, path)


def annotated(node: Syntax) -> dict[str, Syntax]:
    """Return the annotations on a declaration by their simple names."""
    modifiers = node.of("modifiers")
    listed = modifiers.all("annotation", "marker_annotation") if modifiers is not None else []
    return {one.word("name").rpartition(".")[2]: one for one in listed}


def is_route(method: Syntax) -> bool:
    return bool({*_MAPPINGS, *_VERBS} & annotated(method).keys())


def _arguments(annotation: Syntax | None) -> dict[str, Syntax]:
    """Return key → value of an annotation; what stands alone is its ``value``."""
    listed = annotation.get("arguments") if annotation is not None else None
    out = {}
    for part in listed.parts if listed is not None else []:
        value = part.get("value") if part.kind == "element_value_pair" else part
        if value is not None:
            out[part.word("key") if part.kind == "element_value_pair" else "value"] = value
    return out


def _several(node: Syntax | None) -> list[Syntax]:
    """Return the elements of ``{"a", "b"}``, or the one that stands alone."""
    if node is None:
        return []
    return node.parts if node.kind == "element_value_array_initializer" else [node]


def _constants(root: Syntax) -> dict[str, Syntax]:
    return {
        node.word("name"): value
        for node in root.named_nodes("variable_declarator")
        if (value := node.get("value")) is not None
    }


def _text(node: Syntax, constants: Mapping[str, Syntax]) -> str:
    """Return what a constant expression says, as far as this file knows."""
    out, todo = "", [node]
    for _ in range(_DEPTH):
        if not todo:
            break
        at = todo.pop()
        if at.kind == "binary_expression":
            todo += at.parts[::-1]
        elif at.kind in ("identifier", "field_access"):
            told = constants.get(at.word("field") or at.text)
            todo += [told] if told is not None else []
        else:
            out += plain(at) or ""
    return out


# Routes


def _endpoints(node: Syntax, file: str, constants: Mapping[str, Syntax]) -> Iterator[Found]:
    said = annotated(node)
    body = node.get("body")
    if body is None or _CLIENTS & said.keys():
        return
    prefixes = _paths(said.get("RequestMapping") or said.get("Path"), constants)
    for method in body.all("method_declaration"):
        own = annotated(method)
        for name in own:
            verbs = [_MAPPINGS[name]] if name in _MAPPINGS else [name] if name in _VERBS else []
            if name == "RequestMapping":
                verbs = [one.text.rpartition(".")[2] for one in _several(_arguments(own[name]).get("method"))] or [""]
            paths = _paths(own.get("Path") if name in _VERBS else own[name], constants)
            for verb, prefix, path in ((v, p, q) for v in verbs for p in prefixes for q in paths):
                yield endpoint(verb, under(prefix, path), method, file, tuple(_carried(method)))


def _paths(annotation: Syntax | None, constants: Mapping[str, Syntax]) -> list[str]:
    told = _arguments(annotation)
    return [_text(one, constants) for one in _several(told.get("value") or told.get("path"))] or [""]


def _carried(method: Syntax) -> Iterator[Param]:
    """Yield what a request carries beside its path."""
    parameters = method.get("parameters")
    for param in parameters.all("formal_parameter") if parameters is not None else []:
        said, kind = annotated(param), spell(param.get("type"))
        for name in said.keys() & (_BOUND | {"RequestBody"}):
            told = _arguments(said[name])
            called = plain(told.get("value") or told.get("name")) or param.word("name")
            optional = (
                "defaultValue" in told or kind.startswith("Optional<") or name.endswith(("QueryParam", "HeaderParam"))
            )
            optional = optional or ("required" in told and told["required"].text == "false")
            yield Param(
                "body" if name == "RequestBody" else called,
                kind,
                spell(told.get("defaultValue")),
                optional,
                keyword=True,
            )


# Settings


def _value(node: Syntax, file: str) -> Iterator[Found]:
    """Yield the setting of ``@Value("${app.timeout:30}")``."""
    text = plain(_arguments(node).get("value")) if node.word("name").rpartition(".")[2] == "Value" else None
    if text is None or "${" not in text:
        return
    inside = text[text.index("${") + 2 : text.rfind("}") if "}" in text else len(text)]
    name, colon, default = inside.partition(":")
    yield setting(name, node, file, Setting(default=default or ('""' if colon else "")))


def _properties(node: Syntax, file: str) -> Iterator[Found]:
    """Yield a setting for each field under ``@ConfigurationProperties("mail")``."""
    told = _arguments(annotated(node).get("ConfigurationProperties"))
    prefix = plain(told.get("value") or told.get("prefix"))
    if prefix is None:
        return
    body, parameters = node.get("body"), node.get("parameters")
    for field in body.all("field_declaration") if body is not None else []:
        modifiers = field.of("modifiers")
        if modifiers is None or not modifiers.has("static"):
            for one in field.every("declarator"):
                seen = Setting(takes=spell(field.get("type")), default=spell(one.get("value")))
                yield setting(f"{prefix}.{_kebab(one.word('name'))}", one, file, seen)
    for param in parameters.all("formal_parameter") if parameters is not None else []:
        default = _arguments(annotated(param).get("DefaultValue")).get("value")
        seen = Setting(takes=spell(param.get("type")), default=spell(default))
        yield setting(f"{prefix}.{_kebab(param.word('name'))}", param, file, seen)


def _kebab(name: str) -> str:
    return "".join(f"-{char.lower()}" if char.isupper() else char for char in name).strip("-")


def _variable(node: Syntax, file: str) -> Iterator[Found]:
    owner, verb, arguments = _call(node)
    name = plain(arguments[0]) if arguments else None
    if not name:
        return
    default = spell(arguments[1]) if len(arguments) > 1 else ""
    called = f"{owner}.{verb}"
    if called in ("System.getenv", "System.getProperty") and not (verb == "getProperty" and name.startswith(_MACHINE)):
        yield setting(name, node, file, Setting(default=default or _fallback(node)))
    elif called in ("System.getenv().get", "System.getenv().getOrDefault") or called in _PROPERTIES:
        default = default if verb != "getProperty" or plain(arguments[-1]) is not None else ""
        yield setting(name, node, file, Setting(default=default))


def _fallback(node: Syntax) -> str:
    """Return the default of ``Optional.ofNullable(System.getenv("X")).orElse("default")``."""
    around = node.parent.parent if node.parent is not None else None
    behind = around.parent if around is not None and around.word("name") == "ofNullable" else None
    if behind is not None and behind.word("name") in ("orElse", "orElseGet"):
        arguments = _call(behind)[2]
        return spell(arguments[0]) if arguments else ""
    return ""


# Options


def _option(node: Syntax, file: str) -> Iterator[Found]:
    """Yield the option of ``@Option(names = {"-o", "--output"})`` (picocli, args4j) and ``@Parameter(names = …)`` (JCommander)."""
    if node.word("name").rpartition(".")[2] not in ("Option", "Parameter"):
        return
    told = _arguments(node)
    words = [text for key in ("names", "name", "aliases") for one in _several(told.get(key)) if (text := plain(one))]
    names = sorted((word for word in words if word.startswith("-")), key=lambda word: not word.startswith("--"))
    field = node.parent.parent if node.parent is not None else None
    kind = spell(field.get("type")) if field is not None else ""
    if names:
        takes = "flag" if kind in ("boolean", "Boolean") else kind
        required = told["required"].text == "true" if "required" in told else False
        yield option(
            names, node, file, Setting(takes=takes, default=spell(told.get("defaultValue")), required=required)
        )


def _added_option(node: Syntax, file: str) -> Iterator[Found]:
    """Yield the option of ``options.addOption("o", "output", true, "where to write")`` (Commons CLI), and of its builder."""
    owner, verb, arguments = _call(node)
    if verb == "addOption" and len(arguments) > 1:
        words = [plain(one) or "" for one in arguments[:2]]
        names = [f"--{words[1]}"] if words[1] and len(arguments) == 4 else []
        names += [f"-{words[0]}"] if words[0] else []
        takes = next(
            ("value" if one.text == "true" else "flag" for one in arguments if one.kind in ("true", "false")), ""
        )
        if names:
            yield option(names, node, file, Setting(takes=takes))
    elif verb == "longOpt" and arguments and "Option.builder" in owner:
        short = next((f"-{text}" for part in node.walk() if part is not node and _call(part)[1] == "builder"
                      for one in _call(part)[2] if (text := plain(one))), "")  # fmt: skip
        yield option([f"--{plain(arguments[0]) or ''}", *([short] if short else [])], node, file, Setting())


def _call(node: Syntax) -> tuple[str, str, list[Syntax]]:
    """Return (``System``, ``getenv``, the arguments) of ``System.getenv("X")``."""
    arguments = node.get("arguments")
    if node.kind != "method_invocation" or arguments is None:
        return "", "", []
    owner = node.get("object")
    short = owner is not None and owner.end - owner.start < _LONGEST  # else it is a chain of other calls
    return spell(owner) if short else "", node.word("name"), arguments.parts
