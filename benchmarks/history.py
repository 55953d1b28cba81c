"""How often the documents that an author touched are among those that we name: over the history of real projects.

    python benchmarks/history.py [--most N] [--show] REPOSITORY...
    python benchmarks/history.py --releases FILE --clones FOLDER [--sample N --seed S] [--judged FILE]

The second form looks at releases: FILE (`releases.toml`) says which ranges, and what of the surface the changelogs name of them;
FOLDER has the clones, as ``<owner>+<name>/repo``. Per project it prints the recall by kind, the number of items, and the seconds.
With ``--sample`` it also prints so many items of each range, drawn with the seed, for a reader to judge; with ``--judged``, a
file of what a reader said of such a sample (`<project> <yes|no> <item>` a line), the share that a maintainer would agree with.

Each REPOSITORY is a clone (no worktree is needed; only objects are read). Looked at are the newest N commits (default 300)
with one parent that touched code and documents together. The code is that of the commit; the documents are those *before*
it, so that nothing is known of what the author wrote. A hit is a commit of which at least one touched document is named by an
item: as a place to mend, or as the one in which the like of something new is documented. Changelogs are left out of both
sides: one that is kept is touched by nearly everything.

Prints, per repository and in all: hits / eligible, the same of the commits in which a change of the surface was found, how many
documents are named on average, and how many of them the author touched.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from loki_hooks.actions.writing.docs import analyse
from loki_hooks.domain.writing.documents import place_of
from loki_hooks.domain.writing.items import Item
from loki_hooks.domain.writing.pages import Place
from loki_hooks.surface.compare import ignored
from loki_hooks.surface.languages import language_of
from loki_hooks.system.git.blobs import commits_between
from loki_hooks.system.git.git import Git

PATTERNS = ("README*", "docs/**")


@dataclass
class Count:
    eligible: int = 0
    hits: int = 0
    with_surface: int = 0
    surface_hits: int = 0
    named: int = 0
    right: int = 0
    missed: list[str] = field(default_factory=list)

    def add(self, other: Count) -> None:
        for name in ("eligible", "hits", "with_surface", "surface_hits", "named", "right"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def line(self, name: str) -> str:
        def share(a: int, b: int) -> str:
            return f"{a:4}/{b:<4} {a / b:6.1%}" if b else f"{a:4}/{b:<4}    -  "

        return (
            f"{name:24} {share(self.hits, self.eligible)}   where the surface changed"
            f" {share(self.surface_hits, self.with_surface)}"
            f"   named {self.named / max(1, self.eligible):4.1f} a commit, right {share(self.right, self.named)}"
        )


def eligible(git: Git, most: int) -> Iterator[tuple[str, str, set[str]]]:
    """Yield (commit, its parent, documents touched) of commits that touched code and documents."""
    found = 0
    tip = git.out("rev-parse", "HEAD")
    while tip and found < most:
        commits = commits_between(git, "", tip)
        for commit in commits:
            if len(commit.parents) != 1 or found >= most:
                continue
            docs = {p for p in commit.touched if place_of(p, PATTERNS) in {Place.README, Place.DOCS, Place.API}}
            code = [p for p in commit.touched if place_of(p, PATTERNS) is None and language_of(p)]
            there = {p for p in docs if commit.touched[p].before}
            if there and any(not ignored(p) for p in code):
                found += 1
                yield commit.oid, commit.parents[0], there
        last = commits[-1] if commits else None
        tip = last.parents[0] if last and last.parents and len(commits) > 1 else ""


def measure(path: Path, most: int) -> Count:
    git, count = Git(path), Count()
    for commit, parent, docs in eligible(git, most):
        found = analyse(git, parent, commit, PATTERNS, documents_at=parent)
        named = {place for item, seen in found.incoming for place in (*(p for p, _ in seen.docs), *item.near)}
        surface = any(item.symbol and item.aspect in {"public", "endpoint", "config"} for item, _ in found.incoming)
        named = {p for p in named if place_of(p, PATTERNS) in {Place.README, Place.DOCS, Place.API}}
        hit = bool(named & docs)
        count.eligible += 1
        count.hits += hit
        count.with_surface += surface
        count.surface_hits += surface and hit
        count.named += len(named)
        count.right += len(named & docs)
        if not hit:
            count.missed.append(
                f"{commit[:10]} {'surface' if surface else '-':8} touched {sorted(docs)} named {sorted(named)}"
            )
    return count


KINDS = {
    "public": ("public",),
    "option": ("config", "public"),
    "environment": ("config",),
    "endpoint": ("endpoint",),
    "needs": ("config",),
}
"""What counts as named: the kinds of the changelog, and the aspects of items that tell of them (options may be members)."""


def releases(data: Path, clones: Path, wanted_set: str, sample: int, seed: int) -> None:
    """Print how much of what changelogs name is found, and a sample of all that is found."""
    total: dict[str, list[int]] = {}
    for project in tomllib.loads(data.read_text())["project"]:
        if wanted_set and project.get("set", "first") != wanted_set:
            continue
        began = time.perf_counter()
        found = analyse(
            Git(clones / project["name"].replace("/", "+") / "repo"), project["from"], project["to"], PATTERNS
        )
        items = [item for item, _ in found.incoming]
        missed = []
        for wanted in project["named"]:
            kind, _, pattern = wanted.partition(" ")
            hit = any(item.aspect in KINDS[kind] and re.search(pattern, _all_of(item), re.MULTILINE) for item in items)
            for key in (kind, "all"):
                counted = total.setdefault(key, [0, 0])
                counted[0] += hit
                counted[1] += 1
            if not hit:
                missed.append(wanted)
        seen = len(project["named"]) - len(missed)
        print(
            f"{project['name']:32} {project['from']}..{project['to']}: {seen}/{len(project['named'])} named,"
            f" {len(items)} items, {time.perf_counter() - began:.0f} s",
            flush=True,
        )
        for wanted in missed:
            print(f"    missed: {wanted}")
        surface = [item for item in items if item.symbol and item.aspect in {"public", "endpoint", "config"}]
        for item in sorted(
            random.Random(seed).sample(surface, min(sample, len(surface))), key=lambda i: (i.file, i.line)
        ):
            print(f"    sample: {item.trigger} {item.symbol} | {item.file} | {item.before[:90]} -> {item.after[:90]}")
    for key, (seen, all_of) in total.items():
        print(f"recall, {key:12} {seen:4}/{all_of:<4} {seen / all_of:.0%}")


def _all_of(item: Item) -> str:
    return "\n".join((item.symbol, *item.names, item.before, item.after, f"{item.symbol} {item.after}"))


def judged(data: Path) -> None:
    """Print the share of the judged items that a maintainer would agree with, by project."""
    counts: dict[str, list[int]] = {}
    for line in data.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            name, said, _ = line.split(" ", 2)
            for key in (name, "all"):
                counted = counts.setdefault(key, [0, 0])
                counted[0] += said == "yes"
                counted[1] += 1
    for key, (agreed, all_of) in counts.items():
        print(f"agreed, {key:32} {agreed:3}/{all_of:<3} {agreed / all_of:.0%}")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--releases", type=Path, help="what changelogs name of which releases")
    parser.add_argument("--clones", type=Path, default=Path.cwd(), help="the folder of the clones")
    parser.add_argument("--set", default="", help="only the projects of this set")
    parser.add_argument("--sample", type=int, default=0, help="so many items of each range are printed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--judged", type=Path, help="what a reader said of a sample")
    parser.add_argument("--most", type=int, default=300)
    parser.add_argument("--show", action="store_true", help="list the commits that were missed")
    parser.add_argument("repository", nargs="*", type=Path)
    words = parser.parse_args()
    if words.judged:
        judged(words.judged)
    if words.releases:
        releases(words.releases, words.clones, words.set, words.sample, words.seed)
    if not words.repository:
        return 0
    total = Count()
    for path in words.repository:
        began = time.perf_counter()
        count = measure(path, words.most)
        total.add(count)
        name = path.resolve().parent.name if path.name == "repo" else path.name
        print(f"{count.line(name)}   {time.perf_counter() - began:.0f} s", flush=True)
        if words.show:
            print("\n".join(f"    {line}" for line in count.missed))
    print(total.line("in all"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
