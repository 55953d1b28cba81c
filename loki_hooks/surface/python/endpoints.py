"""Endpoints over all known files of a side: routes below the prefixes under which their routers are included."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from loki_hooks.domain.surface import Aspect, Change, Thing, compare
from loki_hooks.surface.python.names import Place
from loki_hooks.surface.python.routes import URLS, Mount, Route, Routes, erased, shown
from loki_hooks.surface.python.source import Module, Modules

MAX_DEPTH = 8
"""Includes within includes."""
MAX_PREFIXES = 20
"""Ways to reach the same router that are told."""


@dataclass(frozen=True)
class Endpoint:
    file: str
    thing: Thing
    route: Route


def endpoints(modules: Modules, routes: Mapping[str, Routes]) -> dict[str, Endpoint]:
    """Return the endpoints by method and path, the names of the path's variable parts left out."""
    found: dict[str, Endpoint] = {}
    mounted = _mounted(modules, routes)
    for file, own in routes.items():
        for route in own.routes:
            for prefix in islice(_prefixes(routes, mounted, (file, route.router), ()), MAX_PREFIXES):
                path = prefix + route.path
                name = f"{route.method} {shown(path)}".strip()
                seen = " ".join(
                    filter(
                        None,
                        (
                            route.method,
                            path,
                            f"({', '.join(map(str, route.parameters))})" if route.parameters else "",
                            route.told,
                        ),
                    )
                )
                thing = Thing(Aspect.ENDPOINT, name, seen, route.line)
                found.setdefault(f"{route.method} {erased(path)}", Endpoint(file, thing, route))
    return found


def handlers(modules: Modules, routes: Mapping[str, Routes]) -> set[Place]:
    """Return the functions and classes that serve, as names of their files."""
    found: set[Place] = set()
    for file, own in routes.items():
        module = modules.by_path[file]
        for name in own.handlers:
            found.add((file, name))
            head, dot, _ = name.partition(".")
            if dot or head in module.imports.names or head in module.imports.local:
                home = modules.find(module.imports.full(name), file)
                if home and home[1] and "." not in home[1]:
                    found.add((home[0].path, home[1]))
    return found


def endpoint_changes(old: Mapping[str, Endpoint], new: Mapping[str, Endpoint]) -> list[Change]:
    """Return what changed; an endpoint that moved to another file is the same one."""
    files = {key: e.file for key, e in (*old.items(), *new.items())}
    found: list[Change] = []
    for file in sorted(set(files.values())):
        before, after = ({k: e for k, e in side.items() if files[k] == file} for side in (old, new))
        was = {e.thing: e.route for e in before.values()}
        now = {e.thing: e.route for e in after.values()}

        def broken(
            one: Thing, other: Thing, was: Mapping[Thing, Route] = was, now: Mapping[Thing, Route] = now
        ) -> bool:
            return breaks(was[one], now[other])

        found += compare(file, {k: e.thing for k, e in before.items()}, {k: e.thing for k, e in after.items()}, broken)
    return found


def breaks(old: Route, new: Route) -> bool:
    """Return whether requests that worked may fail: a parameter is now required, or is gone."""
    before = {p.name: p for p in old.parameters}
    after = {p.name: p for p in new.parameters}
    return bool(before.keys() - after.keys()) or any(
        not p.default and (name not in before or before[name].default) for name, p in after.items()
    )


def _mounted(modules: Modules, routes: Mapping[str, Routes]) -> dict[Place, list[tuple[str, Mount]]]:
    """Return router (its file and name) → the files and mounts that include it."""
    found: dict[Place, list[tuple[str, Mount]]] = {}
    for file, own in routes.items():
        for mount in own.mounts:
            if (child := _child(modules, routes, modules.by_path[file], mount)) and child != (file, mount.parent):
                found.setdefault(child, []).append((file, mount))
    return found


def _child(modules: Modules, routes: Mapping[str, Routes], module: Module, mount: Mount) -> Place | None:
    if mount.is_module:
        found = modules.find(mount.child, module.path)
        return (found[0].path, URLS) if found and not found[1] else None
    name = mount.child
    for _ in range(MAX_DEPTH):
        own = routes.get(module.path)
        if own and name in {*own.prefixes, *(r.router for r in own.routes), *(m.parent for m in own.mounts)}:
            return module.path, name
        head = name.partition(".")[0]
        if head not in module.imports.names and head not in module.imports.local:
            return None
        found = modules.find(module.imports.full(name), module.path)
        if not found or not found[1]:
            return None
        module, name = found
    return None


def _prefixes(
    routes: Mapping[str, Routes], mounted: Mapping[Place, list[tuple[str, Mount]]], key: Place, trail: tuple[Place, ...]
) -> Iterator[str]:
    """Yield each prefix under which the router is reached; its own one alone where nothing known includes it."""
    own = routes[key[0]].prefixes.get(key[1], "")
    above = [] if key in trail or len(trail) >= MAX_DEPTH else mounted.get(key, [])
    for file, mount in above:
        for prefix in _prefixes(routes, mounted, (file, mount.parent), (*trail, key)):
            yield prefix + mount.prefix + ("" if mount.replaces else own)
    if not above:
        yield own
