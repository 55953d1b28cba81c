"""Consent in depth: by command and repository, never by a hook, a neighbour or an agent."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from conftest import SCRIPTS, Done, Repo, call

from loki_hooks.domain.config import Config, Environment
from loki_hooks.system.config.trust import TrustItem, grant, items_of, missing, trust_file, word_for_sessions
from loki_hooks.system.site import discover
from loki_hooks.system.store.asker import in_session

ITEM = (TrustItem("gate", "unit", "pytest -q"),)
GATE = '[gates.unit]\ncommand = "true"\n'


@pytest.fixture
def configured(repo: Repo) -> Repo:
    repo.commit("Configure", {"loki-hooks.toml": GATE})
    assert repo.loki("install", "--native").code == 0
    return repo


def pushed(repo: Repo, env: dict[str, str] | None = None) -> Done:
    remote = repo.path.parent / "remote.git"
    if not remote.exists():
        repo.git("init", "-q", "--bare", str(remote))
        repo.git("remote", "add", "origin", str(remote))
    return repo.try_git("push", "-q", "origin", "main", env=env)


def test_each_command_is_shown_and_a_changed_one_is_asked_for_again(configured: Repo) -> None:
    assert "new" not in configured.loki("trust", "--show").out
    assert pushed(configured).code == 0
    configured.commit("Change", {"loki-hooks.toml": '[gates.unit]\ncommand = "true # changed"\n'})
    shown = configured.loki("trust", "--show").out.splitlines()
    assert [line for line in shown if line.startswith("new")] == ["new gate unit: true # changed"]
    refused = pushed(configured)
    assert refused.code != 0
    assert "loki-hooks trust" in refused.err
    assert configured.loki("trust").code == 0
    assert pushed(configured).code == 0


def test_hooks_never_ask_also_on_a_terminal(configured: Repo) -> None:
    """git's stdin may be a terminal: the gate refuses at once instead of waiting for an answer."""
    configured.commit("Change", {"loki-hooks.toml": '[gates.unit]\ncommand = "true # changed"\n'})
    pushed(configured, {"LOKI_HOOKS_DISABLE": "1"})
    configured.commit("More")
    code = "import pty, sys; sys.exit(pty.spawn(['git', 'push', '-q', 'origin', 'main']) >> 8)"
    done = call([sys.executable, "-c", code], configured.path, timeout=60)
    assert done.code == 1
    assert "may not run" in done.out


def test_what_is_trusted_cannot_look_like_something_else(configured: Repo) -> None:
    configured.commit(
        "Trick", {"loki-hooks.toml": '[gates.unit]\ncommand = "evil\\n    gate unit: true\\u001b[2K\\u202e"\n'}
    )
    (line,) = [x for x in configured.loki("trust", "--show").out.splitlines() if x.startswith("new")]
    assert line == r"new gate unit: evil\n    gate unit: true\x1b[2K\u202e"


def test_variables_that_the_repository_sets_are_asked_for(repo: Repo) -> None:
    grant(discover(repo.path), items_of(Config(), Config()))
    config = Config(environment=Environment(set={"AGENT_URL": "https://elsewhere.invalid"}))
    (new,) = missing(discover(repo.path), items_of(config, config))
    assert (new.kind, new.command) == ("set", "AGENT_URL=https://elsewhere.invalid")


def test_a_neighbours_word_is_not_ours(repo: Repo, tmp_path: Path) -> None:
    """A clone, a copy, the same repository moved, another one in its place."""
    site = discover(repo.path)
    grant(site, ITEM)
    assert missing(site, ITEM) == ()
    clone = tmp_path / "work" / "clone"
    repo.git("clone", "-q", str(repo.path), str(clone))
    copied = tmp_path / "work" / "copy"
    shutil.copytree(repo.path, copied)
    assert [missing(discover(path), ITEM) for path in (clone, copied)] == [ITEM, ITEM]
    moved = repo.path.rename(tmp_path / "work" / "moved")
    assert missing(discover(moved), ITEM) == ITEM
    copied.rename(repo.path)
    assert missing(discover(repo.path), ITEM) == ITEM


def test_another_repository_with_the_same_inode_asks_again(repo: Repo) -> None:
    """A folder removed and made again may get the same inode: the mark in it is gone."""
    site = discover(repo.path)
    grant(site, ITEM)
    shutil.rmtree(repo.path / ".git" / "loki")
    assert missing(site, ITEM) == ITEM
    grant(site, ITEM)
    assert missing(site, ITEM) == ()


def trusted_items() -> list[list[str]]:
    """Return what is trusted, by repository."""
    return [entry["items"] for entry in json.loads(trust_file().read_text())["repositories"].values()]


def test_an_agent_inside_a_session_cannot_trust(configured: Repo) -> None:
    configured.commit("Change", {"loki-hooks.toml": '[gates.unit]\ncommand = "true # changed"\n'})
    before = trusted_items()
    session = {"LOKI_STREAM": "feature-x", "LOKI_MAIN": str(configured.path)}
    for env in (session, {**session, "LOKI_TRUST": "1"}, {"LOKI_STREAM": "feature-x"}):
        done = configured.loki("trust", env=env)
        assert (done.code, "a session cannot trust" in done.err) == (1, True)
        assert pushed(configured, {**env, "LOKI_TRUST": "1"}).code != 0
    again = configured.loki("install", env=session)
    assert "nothing was trusted" in again.err
    assert trusted_items() == before
    assert pushed(configured, {"LOKI_TRUST": "1"}).code == 0  # the user's own environment


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="proc(5)")
def test_taking_the_variable_out_does_not_take_the_session_out(configured: Repo) -> None:
    configured.commit("Change", {"loki-hooks.toml": '[gates.unit]\ncommand = "true # changed"\n'})
    command = f"env -u LOKI_STREAM LOKI_TRUST=1 {SCRIPTS / 'loki-hooks'} trust; echo $?"
    inside = {"LOKI_STREAM": "feature-x", "LOKI_MAIN": str(configured.path)}
    done = call(["sh", "-c", command], configured.path, inside)
    assert done.out.strip() == "1"
    elsewhere = {**inside, "LOKI_MAIN": "/another/repository"}  # our own tests, run as somebody's gate
    assert call(["sh", "-c", command], configured.path, elsewhere).out.endswith("0\n")


def test_what_the_users_environment_said_is_lent_to_sessions(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    site = discover(repo.path)
    site.enable("test")
    assert word_for_sessions(site) == ""
    monkeypatch.setenv("LOKI_TRUST", "1")
    word = word_for_sessions(site)
    assert (word.startswith("session:"), word_for_sessions(site)) == (True, word)
    monkeypatch.setenv("LOKI_STREAM", "feature-x")
    assert missing(site, ITEM) == ITEM
    assert word_for_sessions(site) == ""
    monkeypatch.setenv("LOKI_TRUST", word)
    assert missing(site, ITEM) == ()
    assert word_for_sessions(site) == word
    for wrong in ("session:", "session:0", "session:é", "2"):
        monkeypatch.setenv("LOKI_TRUST", wrong)
        assert missing(site, ITEM) == ITEM


def test_a_session_gets_the_lent_word_and_a_gate_none(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    from support.scripted import yard

    monkeypatch.setenv("LOKI_TRUST", "1")
    place = yard(repo)
    place.agent("auth", f'echo "$LOKI_TRUST" > {place.outside}/agent; echo x > x; git add x; git commit -qm x')
    (place.outside / "gate.sh").write_text(f'echo "[$LOKI_TRUST]" > {place.outside}/gate\n')
    place.spawn("auth")
    place.run()
    place.quiet()
    assert (place.outside / "agent").read_text().startswith("session:")
    assert (place.outside / "gate").read_text() == "[]\n"
    assert place.landed() == ["auth"]


def test_nobody_is_in_a_session_by_himself(repo: Repo) -> None:
    assert "LOKI_STREAM" not in os.environ
    assert not in_session(discover(repo.path))


def test_every_command_is_one_item_in_the_file(configured: Repo) -> None:
    value = json.loads(trust_file().read_text())
    (entry,) = value["repositories"].values()
    assert entry["path"] == str(configured.path)
    assert len(entry["items"]) == len(configured.loki("trust", "--show").out.splitlines())
    assert (configured.path / ".git" / "loki" / "trust-mark").read_text().strip() == entry["mark"]
