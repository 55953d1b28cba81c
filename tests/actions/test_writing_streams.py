"""docs.auto and blog.auto: a round begins when items wait, lands like everything else, and its items close."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import Repo

from actions.scripted import Yard, yard

README = "# project\n\nCall `greet()` first.\n"
DOCS = """\
echo "$0" > /dev/null
sed -i 's/`greet()`/`greet(name)`/' README.md
git commit -qam 'Say greet with a name'
"""


def items(repo: Repo, queue: str = "docs") -> list[dict[str, Any]]:
    return list(json.loads(repo.loki("queue", "list", queue, "--json").out))


def record(at: Yard, stream: str) -> dict[str, Any]:
    state = json.loads((at.loki_dir / "state" / "orchestrator.json").read_text())
    return dict(state["worktrees"].get(stream, {}))


def finished(at: Yard, queue: str) -> list[dict[str, Any]]:
    found = [json.loads(p.read_text()) for p in (at.loki_dir / "queue" / queue / "done").glob("*.json")]
    return sorted(found, key=lambda item: str(item["queued_at"]))


def test_a_docs_round_begins_lands_and_rests_and_a_later_one_begins_again(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")
    repo.commit("Describe", {"README.md": README})
    at = yard(repo, more="[docs]\nauto = true")
    at.agent("docs", DOCS)
    at.run()
    assert record(at, "docs") == {}, "nothing waits: nothing begins"

    changed = repo.commit("Greet by name", {"app.py": "def greet(name):\n    return name\n"})
    at.run()
    at.quiet()
    assert "greet(name)" in repo.git("show", "main:README.md")
    assert repo.git("log", "-1", "--format=%(trailers:key=Loki-Stream,valueonly)", "main").strip() == "docs"
    assert items(repo) == []
    (item,) = finished(at, "docs")
    assert (item["symbol"], item["commit"], item["closed_by"]["stream"]) == ("greet", changed, "docs")
    assert not (repo.signals / "DOCS_NEEDED").exists()
    assert (record(at, "docs")["status"], record(at, "docs")["path"]) == ("watching", "")
    (archive,) = (at.loki_dir / "archive").glob("docs-*")
    prompt = (archive / "prompt.md").read_text()
    assert f"public-changed `greet` (item `{item['id']}`)" in prompt
    assert "`README.md:3`" in prompt

    # A document that is right as it is: nothing to commit, and that is no failure.
    at.agent("docs", f"for i in $({SCRIPT_IDS}); do loki-hooks queue done docs $i; done")
    repo.commit("Greet politely", {"app.py": "def greet(name, title=''):\n    return title + name\n"})
    at.run()
    at.quiet()
    assert items(repo) == []
    assert (record(at, "docs")["status"], record(at, "docs")["reason"]) == ("watching", "")
    assert [e["reason"] for e in at.events("session-failed")] == []

    # One that fails stays for a person, and is not begun again by itself.
    at.agent("docs", "exit 1")
    repo.commit("Greet loudly", {"app.py": "def greet(name, title='', loud=False):\n    return title + name\n"})
    at.run()
    at.run()
    at.quiet()
    assert record(at, "docs")["status"] == "failed"
    assert len(at.events("session-failed")) == 1
    assert [item["state"] for item in items(repo)] == ["open"]
    assert (repo.signals / "DOCS_NEEDED").exists()


SCRIPT_IDS = "loki-hooks queue list docs --json | python3 -c 'import json, sys; [print(i[\"id\"]) for i in json.load(sys.stdin)]'"
