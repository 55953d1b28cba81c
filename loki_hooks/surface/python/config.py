"""What changed of the options of Python programs, over all known files of both sides."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

from loki_hooks.domain.surface import Aspect, Change, Thing, What, compare
from loki_hooks.surface.python.options import Option, breaks

Place = tuple[str, str, str]
"""File, command and name of an option; a variable of the environment has only its name: it is the same wherever it is read."""
Settings = Mapping[Place, tuple[str, Option]]
"""With the file each option is in."""


def settings_by_place(options: Mapping[str, tuple[Option, ...]]) -> Settings:
    """Return the options of all files (path → options) by place; of a variable, where it is read first."""
    found: dict[Place, tuple[str, Option]] = {}
    for path, own in options.items():
        for option in own:
            place = ("", "", option.name) if option.is_variable else (path, option.scope, option.name)
            if place not in found or (option.seen and not found[place][1].seen):
                found[place] = (path, option)
    return found


def config_changes(old: Settings, new: Settings) -> list[Change]:
    """Return what changed. A command or an option that moved is the same one."""
    came = {place[2] for place in new.keys() - old.keys()}
    old = _paired(old, new)
    files = {place: path for place, (path, _) in (*old.items(), *new.items())}
    commands = {place[:2] for place in old}
    found: list[Change] = []
    for file in sorted(set(files.values())):
        before, after = ({k: o for k, (_, o) in side.items() if files[k] == file} for side in (old, new))
        was, now = _things(before), _things(after)
        options = {id(side["\n".join(k)]): o for side, own in ((was, before), (now, after)) for k, o in own.items()}

        def broken(one: Thing, other: Thing, options: Mapping[int, Option] = options) -> bool:
            return breaks(options[id(one)], options[id(other)])

        demanded = {
            o.name
            for k, o in after.items()
            if k not in before and o.required and not o.is_variable and k[:2] in commands
        }
        told: set[tuple[What, str]] = set()
        for change in compare(file, was, now, broken):
            if change.what is What.REMOVED and change.symbol in came and change.symbol.startswith("-"):
                continue  # several commands share it now
            if change.what is not What.CHANGED and (change.what, change.symbol) in told:
                continue  # an option of several commands
            told.add((change.what, change.symbol))
            new_demand = change.what is What.ADDED and change.symbol in demanded
            found.append(replace(change, breaking=change.breaking or new_demand))
    return found


def _things(options: Mapping[Place, Option]) -> dict[str, Thing]:
    return {
        "\n".join(place): Thing(Aspect.CONFIG, o.name, f"{o.seen} (required)".strip() if o.required else o.seen, o.line)
        for place, o in options.items()
    }


def _paired(old: Settings, new: Settings) -> Settings:
    """Return the old options at their new places: of the same name in the same file, or in another and else the same."""
    waiting: dict[str, list[Place]] = defaultdict(list)
    for place in sorted(new.keys() - old.keys()):
        waiting[place[2]].append(place)
    moved: dict[Place, Place] = {}
    for place in sorted(old.keys() - new.keys()):
        candidates = waiting[place[2]]
        here = [p for p in candidates if p[0] == place[0]]
        same = [p for p in candidates if new[p][1].seen == old[place][1].seen]
        for chosen in (here or same)[:1]:
            moved[place] = chosen
            candidates.remove(chosen)
    return {moved.get(place, place): value for place, value in old.items()}
