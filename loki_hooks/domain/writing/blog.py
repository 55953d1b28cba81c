"""What landed that is worth telling, as items for the blog queue: with the commits, figures and people that a post needs.

A *feature* is a conventional ``feat`` (of one stream, all of them are one item), or a version tag x.y.0 none of whose features
was told of. *Performance* is a ``perf`` with a figure. A *security* fix is told only once it is in a released tag. A *milestone*
is 1.0 and every major version, or what somebody says is one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loki_hooks.domain.writing.history import Commit, Landing

FEATURE = ("feat", "feature")
FOLDERS = ("content/blog", "_posts", "blog")
_NOT_A_BLOG = re.compile(r"\.(?:py|js|jsx|ts|tsx|go|rs|java|rb|php)$")
_FIGURE = re.compile(
    r"\d+(?:[.,]\d+)?\s*(?:%|percent\b|\u00d7|x\b|times\b|fold\b|ns\b|µs\b|us\b|ms\b|s\b|sec(?:onds)?\b|min(?:utes)?\b"
    r"|[kKMG]i?B\b|req/s\b|rps\b|ops(?:/s)?\b|allocations?\b|queries\b|calls\b)",
)
_SECURITY = re.compile(r"\bCVE-\d{4}-\d+|\bGHSA(?:-\w{4}){3}|^Security:", re.IGNORECASE | re.MULTILINE)
_VERSION = re.compile(r"^(?P<project>.*?[@/_-])?v?(?P<major>\d+)\.(?P<minor>\d+)(?:\.(?P<patch>\d+))?$")
MOST_COMMITS = 50


@dataclass(frozen=True)
class Version:
    project: str
    major: int
    minor: int
    patch: int

    @property
    def milestone(self) -> bool:
        return self.major >= 1 and not self.minor and not self.patch

    @property
    def order(self) -> tuple[int, int, int]:
        return self.major, self.minor, self.patch


@dataclass(frozen=True)
class Story:
    """One thing to tell. ``symbol`` is its headline, ``key`` what makes it the same one again."""

    trigger: str
    symbol: str
    commits: tuple[Commit, ...]
    stream: str = ""
    figures: tuple[str, ...] = ()
    tag: str = ""

    @property
    def key(self) -> str:
        return f"{self.trigger}\0{self.tag or self.symbol.casefold()}"

    def to_json(self, folder: str, tasks: Sequence[str]) -> dict[str, Any]:
        people = dict.fromkeys(name for commit in self.commits for name in commit.people)
        return {
            "trigger": self.trigger,
            "symbol": self.symbol,
            "commit": self.commits[0].oid if self.commits else "",
            "stream": self.stream,
            "folder": folder,
            "tag": self.tag,
            "commits": [{"commit": c.oid, "subject": c.subject} for c in self.commits[:MOST_COMMITS]],
            "figures": list(self.figures),
            "people": list(people),
            "tasks": list(tasks),
            "breaking": any(commit.breaking for commit in self.commits),
        }


def blog_folder(paths: Iterable[str], configured: str) -> str:
    """Return where posts are: as configured, else the first known folder that holds posts and no code; '' for no blog."""
    if configured:
        return configured.strip("/")
    inside: dict[str, list[str]] = {folder: [] for folder in FOLDERS}
    for path in paths:
        for folder in FOLDERS:
            if path.startswith(f"{folder}/"):
                inside[folder].append(path)
    return next((f for f, found in inside.items() if found and not all(_NOT_A_BLOG.search(path) for path in found)), "")


def stories_of(steps: Iterable[Landing], is_writing: Callable[[str], bool] = lambda _: False) -> list[Story]:
    """Return what the landings of a range are worth telling of by themselves.

    ``is_writing`` says of a path that it is a post or a document: commits of nothing else are not told of.
    """
    found = []
    for step in steps:
        telling = [c for c in step.commits if not c.touched or not all(map(is_writing, c.touched))]
        features = [commit for commit in telling if commit.said(*FEATURE)]
        if step.stream and features:
            found.append(Story("feature", features[-1].said(*FEATURE), tuple(features), step.stream))
        else:
            found += [Story("feature", commit.said(*FEATURE), (commit,)) for commit in features]
        for commit in telling:
            faster = commit.said("perf")
            figures = figures_in(commit.message) if faster else ()
            if figures:
                found.append(Story("performance", faster, (commit,), step.stream, figures))
    return found


def figures_in(message: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(found[0].strip() for found in _FIGURE.finditer(message)))


def is_security_fix(commit: Commit) -> bool:
    return (
        bool(commit.said("security", "sec") or commit.said("fix", scope="security"))
        or _SECURITY.search(commit.message) is not None
    )


def version_of(tag: str) -> Version | None:
    """Return the released version that the tag names, None for anything else (a pre-release is not released)."""
    found = _VERSION.match(tag)
    if found is None:
        return None
    return Version(found["project"] or "", int(found["major"]), int(found["minor"]), int(found["patch"] or 0))


def version_before(tag: str, tags: Iterable[str]) -> str:
    """Return the nearest earlier version's tag of the same project, '' for none."""
    mine = version_of(tag)
    known = [(v.order, name) for name in tags if (v := version_of(name)) and mine and v.project == mine.project]
    return max(((order, name) for order, name in known if mine and order < mine.order), default=((), ""))[1]


def stories_of_tag(tag: str, commits: Sequence[Commit], told: frozenset[str]) -> list[Story]:
    """Return what a new tag is worth telling of. ``commits``: those since the version before, newest first.

    ``told``: the commits that items tell of already.
    """
    version = version_of(tag)
    if version is None:
        return []
    found = [Story("security", commit.what, (commit,), tag=tag) for commit in commits if is_security_fix(commit)]
    telling = tuple(c for c in commits if c.said(*FEATURE, "perf")) or tuple(commits[:MOST_COMMITS])
    if version.milestone:
        found.append(Story("milestone", tag, telling, tag=tag))
    elif not version.patch and (version.major or version.minor) and not any(c.oid in told for c in commits):
        found.append(Story("feature", tag, telling, tag=tag))
    return [s if s.trigger != "security" else _security(s) for s in found]


def _security(story: Story) -> Story:
    """A release may have several fixes: each is known by its own words."""
    return Story(story.trigger, f"{story.symbol} ({story.tag})", story.commits, tag="")


def published(items: Mapping[str, Mapping[str, Any]], posts: Mapping[str, str]) -> dict[str, str]:
    """Return item → the new or changed post that is about it.

    A post is, when it has the item's id anywhere (its front matter, say), or the item's tag in its name or first lines.
    """
    found = {}
    for ident, item in items.items():
        for path, text in sorted(posts.items()):
            head = "\n".join([path, *text.splitlines()[:20]])
            tag = str(item.get("tag") or "")
            named = tag and re.search(rf"(?<![\w.]){re.escape(tag.lstrip('v'))}(?![\w]|\.\d)", head.replace("v", " "))
            if ident in text or named:
                found[ident] = path
                break
    return found
