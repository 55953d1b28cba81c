"""What another tool's installer does to our hooks: ours come back, theirs still run, and what we may not mend is said."""

from __future__ import annotations

import json

from conftest import Repo
from support.look import events, quiet

from loki_hooks.domain.install.chain import SHIM_ID
from loki_hooks.system.hooks.standing import lost_hooks
from loki_hooks.system.site import discover


def installed(repo: Repo) -> Repo:
    assert repo.loki("install", "--native").code == 0
    repo.git("config", "advice.ignoredHook", "false")
    assert lost_hooks(discover(repo.path)) == ()
    return repo


def displace(repo: Repo, hook: str, text: str) -> None:
    """Do as lefthook does: rename what is there, and write a script of one's own."""
    front = repo.path / ".git" / "hooks" / hook
    front.rename(front.with_name(f"{hook}.old"))
    front.write_text(f"#!/bin/sh\n{text}\n")
    front.chmod(0o755)


def test_what_another_tool_displaces_is_put_back_before_it_and_its_own_still_runs(repo: Repo) -> None:
    installed(repo)
    hooks = repo.path / ".git" / "hooks"
    theirs = f"echo theirs >> '{repo.path.parent}/ran'"
    for times in (1, 2):  # a second time it writes the same again
        for hook in ("pre-push", "post-commit"):
            displace(repo, hook, theirs)
        assert {lost.hook for lost in lost_hooks(discover(repo.path))} == {"pre-push", "post-commit"}
        repo.git("switch", "-q", "-c", f"tmp{times}")  # any hook of ours that is still there sees to it
        assert SHIM_ID in (hooks / "pre-push").read_text()
        assert theirs in (hooks / "pre-push.legacy").read_text()
        assert not list(hooks.glob("*.old"))
        assert not list(hooks.glob("*.legacy.legacy"))
        quiet(repo)
    assert lost_hooks(discover(repo.path)) == ()
    assert len(events(repo, "hooks-put-back")) == 2
    repo.commit("X")
    assert (repo.path.parent / "ran").read_text() == "theirs\n"
    quiet(repo)
    assert repo.loki("uninstall").code == 0
    assert theirs in (hooks / "pre-push").read_text()
    assert not (hooks / "post-commit.legacy").exists()


def test_what_is_not_ours_to_mend_is_said(repo: Repo) -> None:
    installed(repo)
    repo.git("config", "core.hooksPath", ".husky/_")
    assert repo.loki("run", "--once").code == 0
    assert repo.git("config", "core.hooksPath") == ".husky/_"
    assert len(events(repo, "hooks-lost")) == 1
    notes = " | ".join(json.loads(repo.loki("status", "--json").out)["notes"])
    assert "core.hooksPath (local) is .husky/_" in notes
    assert "core.hooksPath (local) is .husky/_" in repo.loki("run", "--once").err
    assert len(events(repo, "hooks-lost")) == 1


def test_a_hook_that_is_gone_comes_back_with_the_next_pass(repo: Repo) -> None:
    installed(repo)
    (repo.path / ".git" / "hooks" / "pre-push").unlink()
    assert repo.loki("run", "--once").code == 0
    assert SHIM_ID in (repo.path / ".git" / "hooks" / "pre-push").read_text()
