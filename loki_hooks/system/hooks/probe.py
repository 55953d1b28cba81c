"""Prove that a hook of ours fires: have git run it, with a variable that makes our sh script answer and do nothing.

Our scripts answer (``hooks/prologue.sh``, ``LOKI_HOOKS_PROBE``) by writing their name into a file and exit 1, which
ends husky's scripts too; our hook files pass over the hook that was there before. So nothing of anybody else's runs.
Only what pre-commit or prek run cannot be asked without starting them, and they stash unstaged changes: they are run
in a temporary worktree that holds nothing but their configuration, with every hook skipped that is not ours.

`git hook run` (2.36) runs a hook as git does; before it, and where the hook needs stdin, the file is run in its place.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from loki_hooks.domain.install.chain import owner_of
from loki_hooks.domain.install.values import Owner
from loki_hooks.system.files import read_plain
from loki_hooks.system.git.git import Git, git_version, has_config_hooks
from loki_hooks.system.git_folder import CEILING, with_ceiling
from loki_hooks.system.hooks.files import configured, content
from loki_hooks.system.hooks.framework import NAMES
from loki_hooks.system.processes.run import run, scrubbed
from loki_hooks.system.worktrees.registry import add, take_back

if TYPE_CHECKING:
    from loki_hooks.system.site import Site

TIMEOUT = 60.0
_FILES = (*NAMES, "prek.toml")
_HOOK_ID = re.compile(r"""^\s*(?:-\s*\{?\s*)?["']?id["']?\s*[:=]\s*["']?([^"'\s,}#]+)""", re.MULTILINE)
_INLINE_ID = re.compile(r"""[{,]\s*["']?id["']?\s*[:=]\s*["']?([^"'\s,}#]+)""")


class Lack(Enum):
    """What is not there at all, where that is why a hook does not fire."""

    HOOK_FILE = "hook file"
    CONFIGURATION = "configuration"


@dataclass(frozen=True)
class Answer:
    """``how`` is the evidence of a hook that fired, ``why`` what is in the way of one that did not.

    ``not_executable`` is a hook file of ours that git passes over only because of its mode. ``by`` is the program of
    ours that answered.
    """

    hook: str
    how: str = ""
    why: str = ""
    not_executable: str = ""
    lacks: Lack | None = None
    by: str = ""

    @property
    def fired(self) -> bool:
        return bool(self.how)


class Prober:
    """Asks the hooks of one repository. What a framework answers is asked once for each of its configurations."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._known: dict[tuple[str, str, tuple[tuple[str, bytes], ...]], Answer] = {}

    @cached_property
    def _configured(self) -> Mapping[str, str]:
        return configured(self.site)

    def folder(self, worktree: Path) -> Path:
        """Return the folder that git takes hooks from in this worktree."""
        told = Git(worktree, hooks=True).out("rev-parse", "--git-path", "hooks")
        return Path(os.path.normpath(worktree / told))

    def ask(self, worktree: Path, hook: str) -> Answer:
        """Return whether git, in this worktree, comes to our script for ``hook``."""
        if f"hook.loki-{hook}.command" in self._configured:
            if not has_config_hooks():
                return Answer(
                    hook, why="it is in git's configuration, which this git (before 2.54) does not read hooks from"
                )
            return self._run_configured(worktree, hook)
        front = self.folder(worktree) / hook
        if not os.path.lexists(front):
            return Answer(hook, why=f"there is no {front}", lacks=Lack.HOOK_FILE)
        data = content(front)
        owner = owner_of(data or b"")
        if not os.access(front, os.X_OK):
            return Answer(
                hook,
                why=f"{front} is not executable, so git passes it over",
                not_executable=str(front) if owner is Owner.OURS else "",
            )
        if owner in {Owner.PRE_COMMIT, Owner.PREK}:
            return self._through_framework(worktree, front, hook, owner)
        if owner is Owner.FOREIGN and not _leads_here(front, data or b"", hook):
            return Answer(hook, why=f"{front} is another tool's, and does not call loki-hooks")
        return self._run(worktree, front, hook)

    # Running it ----------------------------------------------------------------------------------------------

    def _run(self, worktree: Path, front: Path, hook: str, env: Mapping[str, str] | None = None) -> Answer:
        git = git_version() >= (2, 36) and not (env and hook == "pre-push")
        head = Git(worktree).commit_id("HEAD") or "0" * 40
        words = _words(hook, head)
        argv = (
            ["git", "-c", f"core.hooksPath={front.parent}", "hook", "run", hook, "--", *words]
            if git
            else [str(front), *words]
        )
        stdin = f"HEAD {head} HEAD {head}\n".encode() if hook == "pre-push" else b""
        return self._answer(argv, worktree, hook, stdin, env, "`git hook run`" if git else f"running {front}", front)

    def _run_configured(self, worktree: Path, hook: str) -> Answer:
        listed = Git(worktree, hooks=True).run("config", "--name-only", "-z", "--get-regexp", r"^hook\..*\.command$")
        argv = ["git", "-c", "core.hooksPath=/dev/null"]
        for key in filter(None, listed.text.split("\0")):
            if key != f"hook.loki-{hook}.command":
                argv += ["-c", f"{key.removesuffix('.command')}.enabled=false"]
        head = Git(worktree).commit_id("HEAD") or "0" * 40
        argv += ["hook", "run", hook, "--", *_words(hook, head)]
        return self._answer(argv, worktree, hook, b"", None, "`git hook run` (git's configuration)", None)

    def _answer(
        self,
        argv: list[str],
        cwd: Path,
        hook: str,
        stdin: bytes,
        env: Mapping[str, str] | None,
        how: str,
        front: Path | None,
    ) -> Answer:
        with tempfile.TemporaryDirectory(prefix="loki-hooks-probe-") as folder:
            said = Path(folder, "said")
            full = scrubbed() | dict(env or {}) | {"LOKI_HOOKS_PROBE": str(said), "GIT_TERMINAL_PROMPT": "0"}
            full[CEILING] = with_ceiling(full, cwd)
            full.pop("LOKI_HOOKS_DISABLE", None)
            done = run(argv, cwd=cwd, env=full, stdin=stdin, timeout=TIMEOUT)
            answered = (read_plain(said) or b"").decode("utf-8", "replace").strip().splitlines()
        if answered:
            return Answer(hook, how=f"{how} came to {answered[0]}", by=answered[0])
        if done.timed_out:
            return Answer(hook, why=f"{how} did not end within {TIMEOUT:.0f} s")
        script = self.site.private / "hooks" / hook
        if script.is_file() and not os.access(script, os.X_OK):
            return Answer(hook, why=f"{script} is not executable", not_executable=str(script))
        told = (done.error_text.strip() or done.text.strip()).splitlines()
        return Answer(
            hook, why=f"{front or 'git'} did not come to our script" + (f": {told[-1][:200]}" if told else "")
        )

    # Frameworks ----------------------------------------------------------------------------------------------

    def _through_framework(self, worktree: Path, front: Path, hook: str, owner: Owner) -> Answer:
        files = {name: data for name in _FILES if (data := read_plain(worktree / name)) is not None}
        if not files:
            return Answer(
                hook, why=f"there is no configuration of {owner.value} in {worktree}", lacks=Lack.CONFIGURATION
            )
        key = (str(front), hook, tuple(sorted(files.items())))
        if key not in self._known:
            text = "\n".join(data.decode("utf-8", "replace") for data in files.values())
            ids = {*_HOOK_ID.findall(text), *_INLINE_ID.findall(text)}
            skipped = ",".join(sorted(name for name in ids if name not in {hook, f"loki-hooks-{hook}"}))
            env = {"SKIP": skipped, "PREK_SKIP": skipped}
            with _bare_worktree(self.site, files) as scratch:
                answer = self._run(scratch, front, hook, env)
            how = f"{owner.value}, run in a temporary worktree with this configuration, came to {answer.by}"
            self._known[key] = Answer(hook, how if answer.fired else "", answer.why)
        return self._known[key]


def _leads_here(front: Path, data: bytes, hook: str) -> bool:
    """Whether a foreign hook file calls us: by a line of its own, or (husky) by the user's script that it runs."""
    wanted = f"loki/hooks/{hook}".encode()
    own = content(front.parent.parent / hook) if front.parent.name == "_" else None
    return wanted in data or wanted in (own or b"")


def _words(hook: str, head: str) -> tuple[str, ...]:
    """Return the arguments that git would give, for an event that changes nothing (githooks(5))."""
    return {
        "post-checkout": (head, head, "1"),
        "post-merge": ("0",),
        "post-rewrite": ("rebase",),
        "pre-push": ("loki-hooks-doctor", "."),
    }.get(hook, ())


_NOBODY = {
    f"GIT_{who}_{what}": text
    for who in ("AUTHOR", "COMMITTER")
    for what, text in (("NAME", "loki-hooks"), ("EMAIL", "loki-hooks@localhost"))
}


@contextlib.contextmanager
def _bare_worktree(site: Site, files: Mapping[str, bytes]) -> Iterator[Path]:
    """A temporary linked worktree, detached, whose one commit holds nothing but these files. Takes itself away."""
    git = Git(site.root)
    entries = "".join(f"100644 blob {git.write_blob(data)}\t{name}\0" for name, data in sorted(files.items()))
    tree = git.out("mktree", "-z", stdin=entries.encode())
    commit = git.out("commit-tree", tree, "-m", "doctor's question to the hook framework", env=_NOBODY)
    with tempfile.TemporaryDirectory(prefix="loki-hooks-doctor-") as folder:
        path = Path(os.path.realpath(folder), "worktree")
        add(site, path, "", commit, new_branch=False)
        try:
            yield path
        finally:
            take_back(site, git, path, "", commit)
