"""A stream is not left waiting for what it broke itself, and nobody is blamed for what others broke."""

from __future__ import annotations

import json

import pytest
from conftest import Repo, eventually
from support.scripted import Yard, yard


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")


def shown(made: Yard, name: str) -> dict[str, object]:
    streams = json.loads(made.repo.loki("status", "--json").out)["streams"]
    return next((dict(s) for s in streams if s["name"] == name), {})


def test_a_stream_that_keeps_the_gate_from_being_run_is_sent_back(repo: Repo) -> None:
    made = yard(repo)
    text = (made.path / "loki-hooks.toml").read_text()
    repo.commit("A gate of its own", {"check": "#!/bin/sh\n", "loki-hooks.toml": text.replace("sh '", "./check '")})
    repo.git("update-index", "--chmod=+x", "check")
    repo.git("commit", "-q", "-m", "A program")
    (made.path / "check").chmod(0o755)
    assert made.repo.loki("test").code == 0
    made.open("x", "y")
    repo.git("rm", "-q", "check", cwd=made.tree_of("x"))
    made.work("x", {"x.txt": "x"})
    made.work("y", {"y.txt": "y"})
    made.run()
    eventually(lambda: made.status("x") == "rejected", what=str(shown(made, "x")))
    assert "could not be run" in str(shown(made, "x")["reason"])
    assert "not found" in str(shown(made, "x")["reason"])
    assert made.status("y") in {"merged", "archived"}


def test_nobody_is_blamed_where_it_cannot_be_run_on_the_integration_branch_either(repo: Repo) -> None:
    made = yard(repo)
    assert made.repo.loki("test").code == 0
    made.open("x")
    (made.outside / "gate-code").write_text("127")
    made.work("x", {"x.txt": "x"})
    made.run()
    assert made.status("x") == "ready"
    assert "unit could not be run: the command was not found" in str(shown(made, "x")["reason"])
    (made.outside / "gate-code").unlink()
    assert made.repo.loki("test", "x", "--again").code == 0
    made.run()
    assert made.status("x") in {"merged", "archived"}


def test_what_is_behind_a_stream_that_waits_to_land_is_tested_and_lands_by_what_was_tested(repo: Repo) -> None:
    made = yard(repo)
    made.open("a", "b", "c")
    repo.write("app.py", "staged\n")
    repo.git("add", "app.py")
    made.work("a", {"a.txt": "a"})
    made.run()
    assert "waits to land" in str(shown(made, "a")["reason"])
    made.work("b", {"b.txt": "b"})
    made.work("c", {"bad-c": "c"})
    made.run()
    assert "waits to land" in str(shown(made, "a")["reason"])
    assert "waits to land" in str(shown(made, "b")["reason"])
    assert [shown(made, name)["gate"] for name in ("a", "b")] == [{"unit": "passed"}] * 2
    assert made.status("c") == "rejected"
    tested = len(made.runs())
    repo.git("reset", "-q", "--hard")
    made.run()
    assert {made.status("a"), made.status("b")} <= {"merged", "archived"}
    assert len(made.runs()) == tested


def test_the_gate_is_shown_for_what_was_tested_only(repo: Repo) -> None:
    made = yard(repo)
    assert made.repo.loki("test").code == 0
    made.open("x")
    assert shown(made, "x")["gate"] == {}, "it is as the integration branch is, and nothing of it was tested"
    repo.commit("Work", {"x.txt": "x"}, cwd=made.tree_of("x"))
    assert made.repo.loki("test", "x").code == 0
    assert shown(made, "x")["gate"] == {"unit": "passed"}
    (made.tree_of("x") / "bad").write_text("not committed\n")
    assert shown(made, "x")["gate"] == {}


def test_what_a_checkout_leaves_modified_is_neither_committed_nor_in_the_way_of_cleaning_up(repo: Repo) -> None:
    made = yard(repo)
    repo.commit("Raw", {"raw.txt": "one\r\n"})
    repo.write(".gitattributes", "*.txt text eol=lf\n")
    repo.git("add", ".gitattributes")
    repo.git("commit", "-q", "-m", "Attributes")
    made.agent("x", "echo x >x.dat; git add x.dat; git commit -q -m x; echo left >left.dat\n")
    made.spawn("x", "--task", "x")
    made.run()
    made.quiet()
    assert made.status("x") in {"", "archived"}, made.record("x")
    assert not made.tree_of("x").exists()
    assert repo.git("diff", "--name-only", "main~1", "main", "--").split() == ["left.dat", "x.dat"]
    made.open("y")
    (made.tree_of("y") / "raw.txt").write_text("somebody's\r\n")
    made.repo.loki("finish", "y", "--keep")
    assert (made.tree_of("y") / "raw.txt").read_bytes() == b"somebody's\r\n"
