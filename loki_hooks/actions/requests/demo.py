"""The demo: the whole journey in a scratch repository, by the code that works in real ones, and a proof of its end.

Only the agent is a script (``templates/demo/agent.py``). After `spawn` nothing here helps: the hooks and the
processes that they start do the rest, while the demo reads ``state/events.jsonl`` and tells. What came of it is then
looked up in git and in files, each promise as a ``Check``.

    FOLDER/project                  the repository; its worktrees stand beside it, as always
    FOLDER/remote.git               what is pushed to
    FOLDER/agent.py, gitconfig      the agent; what git reads in place of the user's own configuration
"""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from loki_hooks.actions.context import Context
from loki_hooks.actions.install.install import carry_out, plan_install
from loki_hooks.actions.requests.spawn import spawn
from loki_hooks.actions.streams.plan import Request
from loki_hooks.actions.view.telling import Telling
from loki_hooks.assets import asset_dir
from loki_hooks.domain.gates.results import command_text
from loki_hooks.domain.install.values import InstallWay
from loki_hooks.domain.refs import TRASH
from loki_hooks.domain.streams.status import WORDS
from loki_hooks.errors import LokiError
from loki_hooks.system.git.git import Git, list_worktrees
from loki_hooks.system.json import read_json
from loki_hooks.system.processes.run import Completed, run, scrubbed
from loki_hooks.system.processes.scratch import processes_in, wait_until_empty
from loki_hooks.system.site import Site, discover
from loki_hooks.system.store import events, queues

if TYPE_CHECKING:
    from loki_hooks.domain.sessions.agents import Command

PROJECT = "project"
REMOTE = "remote.git"
TASKS = {
    "share": "Add share(text, word): which part of the text's words is this word. With tests.",
    "case": "Let count_words() ignore case where that is asked for. With a test.",
    "speed": "Make split_words() faster.",
}
"""Name of the stream → its task. The agent gets the last one wrong."""
GOOD = ("share", "case")
BAD = "speed"
DOCUMENTED = "count_words"
"""The function whose signature ``case`` changes, and which the project's README explains."""
PATIENCE = 90.0


class Mark(Enum):
    """What a line of the story is."""

    HEADING = "heading"
    TEXT = "text"
    COMMAND = "command"
    OUTPUT = "output"


Tell = Callable[[Mark, str], None]


@dataclass(frozen=True)
class DemoCheck:
    """A promise, and whether it was kept. ``detail`` says what was found instead."""

    what: str
    kept: bool
    detail: str = ""


def run_demo(folder: Path, tell: Tell) -> tuple[DemoCheck, ...]:
    """Play the whole journey in ``folder`` (new, its environment sealed) and return what came of each promise.

    Raises ``LokiError`` where it cannot even begin.
    """
    project = folder / PROJECT
    _make_project(folder, project, tell)
    site = _install(project, tell)
    _spawn(site, folder, tell)
    done = _watch(site, folder, tell)
    green = _push(site, folder, "main", "To push main again, the hook looks the recorded result up", tell)
    red = _push(site, folder, f"feature/{BAD}", f"To push {BAD}, with its failing tests", tell)
    left = wait_until_empty(folder, 10)
    tell(Mark.HEADING, "What has come of it")
    _show_history(site, tell)
    _show_docs(site, tell)
    _show_rejected(site, tell)
    return (
        *_checks(Context(site)),
        *_push_checks(Context(site), green, red),
        DemoCheck("it came to its end by itself", done),
        DemoCheck("no process stayed behind", not left, ", ".join(left.values())),
    )


# The journey ---------------------------------------------------------------------------------------------


def _make_project(folder: Path, project: Path, tell: Tell) -> None:
    """Make a repository as somebody may have it: a project with tests, one commit, a remote."""
    if shutil.which("git") is None:
        raise LokiError("git is not on PATH", "install git: everything here is done by it")
    tell(Mark.HEADING, "A project: it counts words, has tests, and a remote to push to")
    source = asset_dir("templates") / "demo"
    shutil.copytree(source / PROJECT, project, ignore=shutil.ignore_patterns("__pycache__"))
    (project / "gitignore").rename(project / ".gitignore")
    shutil.copyfile(source / "agent.py", folder / "agent.py")
    text = (source / "loki-hooks.toml").read_text(encoding="utf-8")
    text = text.replace("@PYTHON@", json.dumps(sys.executable, ensure_ascii=False))
    (project / "loki-hooks.toml").write_text(text, encoding="utf-8")
    remote = folder / REMOTE
    _git(folder, "init", "--quiet", "--bare", "--template=", str(remote))
    _git(project, "init", "--quiet", "--template=")
    _git(project, "symbolic-ref", "HEAD", "refs/heads/main")
    for key, value in _settings(project).items():
        _git(project, "config", key, value)
    _git(project, "add", "--all")
    _git(project, "commit", "--quiet", "-m", "Count words")
    _git(project, "remote", "add", "origin", str(remote))
    _git(project, "push", "--quiet", "--set-upstream", "origin", "main")
    tell(Mark.TEXT, f"made in {folder}")


def _settings(project: Path) -> dict[str, str]:
    """Return what the repository sets for itself, so that it also works, when kept, under whatever the user has set."""
    return {
        "user.name": "A. Newcomer",
        "user.email": "newcomer@example.invalid",
        "commit.gpgsign": "false",
        "core.hooksPath": str(project / ".git" / "hooks"),
    }


def _install(project: Path, tell: Tell) -> Site:
    tell(Mark.HEADING, "The hooks go in")
    tell(Mark.COMMAND, "loki-hooks install --native")
    site = discover(project)
    plan = plan_install(site, InstallWay.NATIVE)
    carry_out(site, plan, lambda _: None)
    names = sorted(path.name for path in (asset_dir("hooks")).iterdir() if "." not in path.name)
    tell(Mark.TEXT, f"git now runs loki-hooks in: {', '.join(names)}")
    gate = command_text(_gate(Context(site))).replace(shlex.quote(sys.executable), "python")
    tell(Mark.TEXT, f"what has to pass before anything lands is in loki-hooks.toml: {gate}")
    return site


def _spawn(site: Site, folder: Path, tell: Tell) -> None:
    tell(Mark.HEADING, "Three tasks, each for an agent in a worktree of its own")
    for name, task in TASKS.items():
        tell(Mark.COMMAND, f'loki-hooks spawn {name} --task "{task}"')
        (made,) = spawn(Context(site), Request((name,), task=task))
        if made.error:
            raise LokiError(f"cannot spawn {name}: {made.error}")
        tell(Mark.TEXT, f"{made.branch} in {_inside(folder, made.path)}")


def _watch(site: Site, folder: Path, tell: Tell) -> bool:
    """Tell what happens until nothing more can; return whether that was within ``PATIENCE`` seconds."""
    tell(Mark.HEADING, "From here on it goes by itself; these lines are only told")
    telling = Telling(site, partial(tell, Mark.TEXT), start=0)
    deadline = time.monotonic() + PATIENCE
    while True:
        running = processes_in(folder)  # first: what ends after this look has its lines told in the next round
        telling.go_on()
        if not running:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)


@dataclass(frozen=True)
class Pushed:
    """How a push ended, and how many gates it ran."""

    done: Completed
    gates_run: int


def _push(site: Site, folder: Path, branch: str, heading: str, tell: Tell) -> Pushed:
    """Push as a person does, hooks and all."""
    tell(Mark.HEADING, heading)
    tell(Mark.COMMAND, f"git push origin {branch}")
    before = _gates_run(site)
    done = run(["git", "push", "origin", branch], cwd=site.root, env=scrubbed(), timeout=PATIENCE)
    for line in done.error_text.rstrip().splitlines():
        tell(Mark.OUTPUT, line.replace(f"{folder}/", "").rstrip())
    return Pushed(done, _gates_run(site) - before)


def _gates_run(site: Site) -> int:
    return sum(1 for event in events.read_all(site) if str(event.get("event")).startswith("gate-"))


# What came of it -----------------------------------------------------------------------------------------


def _show_history(site: Site, tell: Tell) -> None:
    tell(Mark.COMMAND, "git log --graph --oneline main")
    for line in Git(site.root).out("log", "--graph", "--format=%h %s", "main").splitlines():
        tell(Mark.OUTPUT, line.rstrip())


def _show_docs(site: Site, tell: Tell) -> None:
    tell(Mark.COMMAND, "loki-hooks queue list docs")
    for item in queues.listed(site, "docs"):
        where = ", ".join(f"{place['path']}:{place['line']}" for place in item["docs"]) or "no document mentions it yet"
        what = item["symbol"] or item["file"]
        tell(Mark.OUTPUT, f"{item['trigger']} {what} ({item['file']}:{item['line']}): {where}")


def _show_rejected(site: Site, tell: Tell) -> None:
    record = Context(site).store.read().streams.get(f"feature-{BAD}")
    if record is not None:
        tell(Mark.COMMAND, f"loki-hooks status     ({BAD} is left)")
        where = Path(record.path).name
        tell(Mark.OUTPUT, f"{record.stream}: {WORDS[record.status]} ({record.reason}); to be mended in {where}")


def _checks(context: Context) -> tuple[DemoCheck, ...]:
    """Return the promises about what landed and what did not, looked up in git and files."""
    site, git = context.site, context.git
    stream = "--format=%(trailers:key=Loki-Stream,valueonly,separator=%x20)"
    landed = sorted(git.out("log", "--merges", "--first-parent", stream, "main").split())
    tests = run(list(_gate(context)), cwd=site.root, env=scrubbed(PYTHONDONTWRITEBYTECODE="1"), timeout=60)
    branches = sorted(name.removeprefix("refs/heads/") for name in git.refs("refs/heads/"))
    names = sorted(entry.path.name for entry in list_worktrees(git))
    worktrees = [name for name in names if not name.startswith(f"{PROJECT}-testing-")]  # how many test at once may vary
    pinned = sorted({ref.split("/")[3] for ref in git.refs(TRASH)})
    report = read_json(site.loki / "signals" / f"TESTS_FAILED_{BAD}")
    tail = str(report.get("report")) if isinstance(report, dict) else ""
    documents = {
        place["path"]
        for item in queues.listed(site, "docs")
        if item.get("symbol") == DOCUMENTED
        for place in item["docs"]
    }
    dirt = git.out("status", "--porcelain")
    good = sorted(f"feature-{name}" for name in GOOD)
    return (
        DemoCheck(f"{' and '.join(GOOD)} landed on main, each by a merge commit", landed == good, f"merged: {landed}"),
        DemoCheck("the tests pass on main as it is now", tests.returncode == 0, tests.error_text[-300:]),
        DemoCheck(
            f"{BAD} did not land; its branch and worktree are there to be mended",
            f"feature/{BAD}" in branches
            and not git.is_ancestor(f"feature/{BAD}", "main")
            and f"{PROJECT}-feature-{BAD}" in worktrees,
            f"branches: {branches}, worktrees: {worktrees}",
        ),
        DemoCheck(f"the report of its tests is in the signal TESTS_FAILED_{BAD}", "FAIL: test_" in tail, tail[-300:]),
        DemoCheck(
            "the worktrees and branches of what landed are gone, their tips pinned",
            branches == [f"feature/{BAD}", "main", "parallel-testing"]
            and pinned == good
            and {tree for tree in worktrees if not tree.startswith(f"{PROJECT}-testing-")}  # a second one to test in
            == {PROJECT, f"{PROJECT}-feature-{BAD}", f"{PROJECT}-testing"},
            f"branches: {branches}, worktrees: {worktrees}, pinned: {pinned}",
        ),
        DemoCheck(
            f"the README, which explains {DOCUMENTED}(), is in the docs queue",
            "README.md" in documents,
            f"{sorted(documents)}",
        ),
        DemoCheck("the project's own worktree is clean", not dirt, dirt),
    )


def _push_checks(context: Context, green: Pushed, red: Pushed) -> tuple[DemoCheck, ...]:
    theirs = Git(context.site.root.parent / REMOTE).refs("refs/heads/")
    tip = context.git.commit_id("main")
    return (
        DemoCheck(
            "main was pushed, from the recorded result: no test ran again",
            green.done.returncode == 0 and theirs.get("refs/heads/main") == tip and green.gates_run == 0,
            f"exit status {green.done.returncode}, tests run {green.gates_run} times",
        ),
        DemoCheck(
            f"the push of {BAD} was refused, with the tail of its tests",
            red.done.returncode != 0
            and f"refs/heads/feature/{BAD}" not in theirs
            and "FAIL: test_" in red.done.error_text,
            f"exit status {red.done.returncode}, the remote has {sorted(theirs)}",
        ),
    )


def _git(cwd: Path, *args: str) -> None:
    """Run git as a person does. Raises ``LokiError``."""
    Git(cwd, hooks=True).out(*args)


def _inside(folder: Path, path: str) -> str:
    return str(Path(path).relative_to(folder)) if Path(path).is_relative_to(folder) else path


def _gate(context: Context) -> Command:
    """Return the command that has to pass, as it is in force on main."""
    gates = context.config.in_force.gates
    if not gates:
        raise LokiError("the scratch project's gate is not in force", "this is a bug: please report it")
    return gates["unit"].command
