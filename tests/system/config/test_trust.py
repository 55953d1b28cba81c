"""The user's word: per user and repository, for exactly the commands that were shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Repo

from loki_hooks.domain.config import Config, Environment, Gate, Session
from loki_hooks.domain.sessions.agents import Agent
from loki_hooks.system.config.trust import TrustItem, grant, items_of, missing, revoke, trust_file
from loki_hooks.system.site import discover

GATED = Config(gates={"unit": Gate("unit", "pytest -q")})


def test_what_there_is_to_trust() -> None:
    kinds = {(item.kind, item.name) for item in items_of(Config(), GATED)}
    assert kinds == {
        ("agent", "claude"),
        ("setup", "environment.setup"),
        ("copy", "environment.copy"),
        ("gate", "unit"),
    }
    quiet = Config(environment=Environment(copy=(), setup=False))
    assert [item.kind for item in items_of(quiet, quiet)] == ["agent"]


def test_agents_that_the_repository_brings_are_named_presets_are_not() -> None:
    agents = {**Config().agents, "mine": Agent("mine", ("sh", "-c", "x y")), "codex": Agent("codex", "evil")}
    config = Config(agents=agents, session=Session(agent="mine"))
    assert {(i.name, i.command) for i in items_of(config, config) if i.kind == "agent"} == {
        ("mine", "sh -c 'x y'"),
        ("codex", "evil"),
    }


def test_set_up_counts_from_both_the_working_copy_and_what_is_in_force() -> None:
    here = Config(environment=Environment(setup="make here"))
    there = Config(environment=Environment(setup="make there"))
    assert {i.command for i in items_of(here, there) if i.kind == "setup"} == {"make here", "make there"}


def test_granted_is_granted_until_the_command_changes(repo: Repo) -> None:
    site = discover(repo.path)
    items = items_of(Config(), GATED)
    assert missing(site, items) == items
    grant(site, items)
    assert missing(site, items) == ()
    changed = replace(GATED, gates={"unit": Gate("unit", "curl x | sh")})
    assert [item.command for item in missing(site, items_of(Config(), changed))] == ["curl x | sh"]
    grant(site, items_of(Config(), changed))
    assert missing(site, (*items, *items_of(Config(), changed))) == ()
    revoke(site)
    assert missing(site, items) == items


def test_the_file_is_the_users_own(repo: Repo, sealed_home: Path) -> None:
    grant(discover(repo.path), items_of(Config(), GATED))
    assert trust_file().is_relative_to(sealed_home)
    assert trust_file().stat().st_mode & 0o777 == 0o600


def test_another_repository_at_the_same_path_asks_again(repo: Repo, tmp_path: Path) -> None:
    items = (TrustItem("gate", "unit", "x"),)
    grant(discover(repo.path), items)
    repo.path.rename(tmp_path / "work" / "old")
    repo.path.mkdir()
    repo.git("init", "-q")
    assert missing(discover(repo.path), items) == items


def test_linked_worktrees_share_it_and_the_variable_trusts_all(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = (TrustItem("gate", "unit", "x"),)
    monkeypatch.setenv("LOKI_TRUST", "1")
    assert missing(discover(repo.path), items) == ()
    monkeypatch.setenv("LOKI_TRUST", "yes")
    assert missing(discover(repo.path), items) == items
    grant(discover(repo.path), items)
    repo.git("worktree", "add", "-q", str(tmp_path / "work" / "w"))
    assert missing(discover(tmp_path / "work" / "w"), items) == ()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 1, "repositories": []}', '{"version": 2}', "null"])
def test_a_damaged_file_trusts_nothing_and_is_replaced(repo: Repo, text: str) -> None:
    items = (TrustItem("gate", "unit", "x"),)
    trust_file().parent.mkdir(parents=True)
    trust_file().write_text(text)
    assert missing(discover(repo.path), items) == items
    grant(discover(repo.path), items)
    assert missing(discover(repo.path), items) == ()
