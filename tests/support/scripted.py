"""A scripted agent, a counting gate, and a repository that is set up for both.

The agent of the stream ``x`` is the shell script ``x.sh`` (else ``default.sh``) of a folder outside the repository.
The gate is a shell script there too: it appends the tree that it is run on to ``runs``, and fails where a file ``bad*``
stands in the tree; a file ``code`` says with which status to exit, a file ``wait`` for how many seconds to wait.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conftest import Done, Repo, eventually

from loki_hooks.actions.context import Context
from loki_hooks.actions.sessions.turns import waits_for_somebody
from loki_hooks.system.processes.alive import identify
from loki_hooks.system.site import discover

GATE = """\
git rev-parse 'HEAD^{tree}' >> '%(outside)s/runs'
[ ! -f '%(outside)s/gate-code' ] || exit "$(cat '%(outside)s/gate-code')"
[ ! -f '%(outside)s/gate-wait' ] || sleep "$(cat '%(outside)s/gate-wait')"
[ ! -f wait ] || sleep "$(cat wait)"
[ ! -f code ] || exit "$(cat code)"
for f in bad*; do [ ! -e "$f" ] || { echo "$f is bad"; exit 1; }; done
echo good
"""
AGENT = """\
echo "work of $1" > "$1.txt"
git add "$1.txt"
git commit -q -m "Add $1"
"""
CHOOSE = """\
f='%(outside)s'/"$1.sh"
[ -f "$f" ] || f='%(outside)s/default.sh'
exec sh "$f" "$1" "$2"
"""
CONFIG = """\
[session]
agent = "scripted"
max = %(cap)d
timeout = %(timeout)s
commit = "all"
[agents.scripted]
command = ["sh", "%(outside)s/choose.sh", "{name}", "{task}"]
[environment]
setup = false
[gates.unit]
command = "sh '%(outside)s/gate.sh'"
timeout = %(gate_timeout)s
%(more)s
"""


TASK = "Do your work."
"""What a session is told where a test does not say."""


@dataclass(frozen=True)
class Yard:
    """A repository with a committed configuration, loki-hooks on, and a folder ``outside`` of it for scripts."""

    repo: Repo
    outside: Path

    @property
    def path(self) -> Path:
        return self.repo.path

    @property
    def loki_dir(self) -> Path:
        return self.path / ".loki"

    def context(self) -> Context:
        return Context(discover(self.path))

    def tree_of(self, name: str) -> Path:
        """Return where the worktree of the feature ``name`` is."""
        return self.path.parent / f"{self.path.name}-feature-{name}"

    def agent(self, name: str, script: str) -> None:
        """Have the agent of the stream ``name`` do this (``$1`` is the stream's name, ``$2`` the task)."""
        (self.outside / f"{name}.sh").write_text(script)

    # What people type ----------------------------------------------------------------------------------

    def spawn(self, *words: str, env: dict[str, str] | None = None) -> list[dict[str, Any]]:
        given = {"--task", "--prompt-file", "--no-launch", "--dry-run"} & set(words)
        done = self.repo.loki("spawn", "--json", *(() if given else ("--task", TASK)), *words, env=env)
        assert done.code in {0, 1}, done.err
        assert done.out, done.err
        return list(json.loads(done.out))

    def run(self, *words: str) -> Done:
        """`loki-hooks run`: until nothing is left to do."""
        done = self.repo.loki("run", "--json", *words)
        assert done.code == 0, done.err
        return done

    def once(self) -> dict[str, Any]:
        return dict(json.loads(self.run("--once").out))

    def open(self, *names: str) -> None:
        """Make streams without a session."""
        made = self.spawn("--no-launch", *names)
        assert [m["status"] for m in made] == ["open"] * len(names), made

    def work(self, name: str, files: Mapping[str, str]) -> str:
        """Commit files in the stream's worktree and say that it is ready."""
        commit = self.repo.commit(f"Work of {name}", dict(files), cwd=self.tree_of(name))
        self.ready(name)
        return commit

    def ready(self, name: str) -> None:
        (self.tree_of(name) / ".loki" / "signals" / f"FEATURE_READY_{name}").touch()

    def streams(self, works: Mapping[str, Mapping[str, str]]) -> None:
        """Make streams that are ready to merge: name → files."""
        self.open(*works)
        for name, files in works.items():
            self.work(name, files)

    # What there is -------------------------------------------------------------------------------------

    def record(self, name: str) -> dict[str, Any]:
        """Return what the state says of the feature ``name`` ({} when nothing)."""
        state = json.loads((self.loki_dir / "state" / "orchestrator.json").read_text())
        found = state["worktrees"].get(name if name == "testing" else f"feature-{name}", {})
        return dict(found)

    def status(self, name: str) -> str:
        return str(self.record(name).get("status", ""))

    def wait_for(self, name: str, *statuses: str, timeout: float = 30) -> None:
        eventually(lambda: self.status(name) in statuses, timeout, f"{name} to be {statuses}, is {self.status(name)}")

    def quiet(self, timeout: float = 30) -> None:
        """Wait until no process of ours is left, but for one that waits for a person."""

        def left() -> list[str]:
            waits = waits_for_somebody(self.context())
            return [words for words in self.ours() if not (waits and " turns " in words)]

        eventually(lambda: not left(), timeout, f"our processes to end: {self.ours()}")

    def ours(self) -> list[str]:
        """Return the processes of ours that work on this repository."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"worker" in words and str(self.path).encode() in words and identify(int(entry.name)):
                found.append(b" ".join(words).decode())
        return found

    def runs(self) -> list[str]:
        """Return the trees that the gate was run on, in order."""
        path = self.outside / "runs"
        return path.read_text().split() if path.exists() else []

    def events(self, *kinds: str) -> list[dict[str, Any]]:
        path = self.loki_dir / "state" / "events.jsonl"
        found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [event for event in found if not kinds or event["event"] in kinds]

    def on_main(self) -> set[str]:
        """Return the files on the integration branch."""
        return set(self.repo.git("ls-tree", "-r", "--name-only", "main").splitlines())

    def landed(self) -> list[str]:
        """Return the streams that landed on main, in order."""
        listed = self.repo.git(
            "log", "--reverse", "--format=%(trailers:key=Loki-Stream,valueonly)", "--first-parent", "--merges", "main"
        )
        return [line.removeprefix("feature-") for line in listed.split()]


def yard(
    repo: Repo, *, cap: int = 3, timeout: float = 0, gate_timeout: float = 60, more: str = "", gate: bool = True
) -> Yard:
    """Set the repository up; the environment of the test must have ``LOKI_TRUST=1``."""
    outside = repo.path.parent.parent / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "gate.sh").write_text(GATE % {"outside": outside})
    (outside / "default.sh").write_text(AGENT)
    (outside / "choose.sh").write_text(CHOOSE % {"outside": outside})
    values = {"outside": outside, "cap": cap, "timeout": timeout, "gate_timeout": gate_timeout, "more": more}
    text = CONFIG % values
    if not gate:
        text = text.partition("[gates.unit]")[0] + more
    repo.commit("Configure", {"loki-hooks.toml": text, ".gitignore": "*.log\nsecret/\n"})
    turn_on(repo)
    return Yard(repo, outside)


def turn_on(repo: Repo) -> None:
    marker = Path(repo.git("rev-parse", "--path-format=absolute", "--git-common-dir")) / "loki" / "enabled"
    marker.parent.mkdir(exist_ok=True)
    marker.write_text("test\n")


def end(pids: Iterable[int]) -> None:
    """Kill processes that the test started."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def group_is_gone(group: int) -> bool:
    """Return whether no process of the group lives (one that nobody has waited for yet does not)."""
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split() if entry.name.isdigit() else []
        except OSError:
            continue
        if fields and int(fields[2]) == group and fields[0] not in "ZX":
            return False
    return True


def snapshot(root: Path) -> dict[str, str]:
    """Return everything below ``root`` that is not git's or ours: path → content."""
    found: dict[str, str] = {}
    for base, folders, files in os.walk(root):
        folders[:] = sorted(f for f in folders if f not in {".git", ".loki"})
        for name in files:
            path = Path(base, name)
            shown = str(path.relative_to(root))
            found[shown] = (
                f"-> {path.readlink()}"
                if path.is_symlink()
                else path.read_bytes().hex()
                if path.is_file()
                else "special"
            )
    return found
