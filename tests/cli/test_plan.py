"""Plans through the front door: shown, entered, carried out in order, entered again; bad ones enter nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Repo
from support.scripted import Yard, yard

PLAN = """\
# Log in
- [ ] api: The interface (files: src/api/**)
- [ ] auth: Log in (after: api)
- [ ] more: More of it (files: src/api/more.py)
- [x] old: Done
"""


@pytest.fixture
def place(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> Yard:
    monkeypatch.setenv("LOKI_TRUST", "1")
    made = yard(repo, cap=2)
    made.agent("default", 'echo "work of $1" > "$1.txt"\ngit add "$1.txt"\ngit commit -q -m "Add $1"\n')
    repo.commit("Plan", {"tasks.md": PLAN})
    return made


def entered(place: Yard, source: str) -> list[dict[str, str]]:
    done = place.repo.loki("spawn", "--plan", source, "--json")
    assert done.code == 0, done.err
    return list(json.loads(done.out))


def test_a_plan_is_carried_out_in_its_order_and_entered_once(place: Yard) -> None:
    shown = json.loads(place.repo.loki("plan", "tasks.md", "--json").out)
    assert [(task["id"], task["depends_on"], task["start"]) for task in shown["tasks"]] == [
        ("api", [], 0),
        ("auth", [{"id": "api", "why": "written"}], 1),
        ("more", [{"id": "api", "why": "overlap"}], 1),
    ]
    assert shown["critical_path"] == ["api", "auth"]
    assert shown["skipped"] == [{"id": "old", "why": "done"}]
    assert not place.repo.git("branch", "--list", "feature/*")  # shown, and that is all

    place.agent("api", 'test -f src || { echo api > api.txt; git add api.txt; git commit -q -m "Add api"; }\n')
    place.agent("auth", 'test -f api.txt && echo auth > auth.txt && git add auth.txt && git commit -q -m "Add auth"\n')
    place.agent("more", 'test -f api.txt && echo more > more.txt && git add more.txt && git commit -q -m "Add more"\n')
    done = place.repo.loki("run", "--plan", "tasks.md", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["verdict"]["verdict"] == "COMPLETE"
    said = place.repo.git(
        "log", "--first-parent", "--format=%(trailers:key=Plan-Item,valueonly)%(trailers:key=Loki-Plan,valueonly)"
    )
    assert said.split()[-2:] == ["api", "tasks.md"]
    assert sorted(said.split()[::2]) == ["api", "auth", "more"]

    again = place.repo.loki("spawn", "--plan", "tasks.md", "--json")
    assert (again.code, again.out.strip()) == (0, "[]"), again.err
    (place.loki_dir / "state" / "orchestrator.json").unlink()  # the record is gone, the merges are the proof
    place.repo.write("tasks.md", PLAN + "- [ ] new: One more\n")
    left = json.loads(place.repo.loki("plan", "tasks.md", "--json").out)
    assert [task["id"] for task in left["tasks"]] == ["new"]


def test_what_waits_in_a_plan_has_no_worktree_and_can_be_given_up(place: Yard) -> None:
    place.agent("api", "sleep 60\n")
    made = entered(place, "tasks.md")
    assert {m["name"]: m["status"] for m in made}["auth"] == "planned"
    assert not place.tree_of("auth").exists()
    status = json.loads(place.repo.loki("status", "--json").out)
    assert {s["name"]: s["reason"] for s in status["streams"]}["auth"] == "waits for feature-api"
    assert place.repo.loki("stop", "auth").code == 1
    assert place.repo.loki("finish", "auth", "--abandon").code == 0
    assert place.status("auth") in {"archived", ""}
    again = entered(place, "tasks.md")
    assert [m["name"] for m in again] == ["auth"]
    assert place.repo.loki("stop", "api").code == 0


def test_a_task_whose_worktree_cannot_be_made_waits_and_is_a_persons_in_the_end(place: Yard) -> None:
    place.repo.write("plan.toml", '[[tasks]]\nid = "auth"\nprompt = "Do it"\n')
    made = entered(place, "plan.toml")
    place.wait_for("auth", "merged", "archived")
    assert made[0]["name"] == "auth"
    place.repo.write("plan.toml", '[[tasks]]\nid = "blocked"\nprompt = "Do it"\n')
    place.tree_of("blocked").mkdir()
    (place.tree_of("blocked") / "x").write_text("somebody's")
    refused = place.repo.loki("spawn", "--plan", "plan.toml")
    assert refused.code == 1
    assert "exists already" in refused.err
    assert not place.repo.git("branch", "--list", "feature/blocked")


@pytest.mark.parametrize("command", [("plan",), ("spawn", "--plan"), ("run", "--once", "--plan")])
def test_a_plan_with_problems_says_all_of_them_and_enters_nothing(place: Yard, command: tuple[str, ...]) -> None:
    place.repo.write(
        "bad.toml", '[[tasks]]\nid = "a"\nneeds = ["b", "c"]\n[[tasks]]\nid = "b"\nneeds = ["a"]\nfiels = []\n'
    )
    refused = place.repo.loki(*command, "bad.toml")
    assert refused.code == 1
    for part in ("waits for itself: a → b → a", "'c', which is no task", "unknown key 'fiels'; did you mean files?"):
        assert part in refused.err
    assert not (place.loki_dir / "state" / "orchestrator.json").exists()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("nowhere.md", "is not there"),
        (".", "has several plans"),
        ("empty", "there is no plan in"),
        ("bytes.md", "line 2"),
    ],
)
def test_a_source_that_is_none_is_said(place: Yard, source: str, expected: str) -> None:
    place.repo.write("PLAN.md", PLAN)
    (place.path / "empty").mkdir()
    (place.path / "bytes.md").write_bytes(b"- [ ] a\n\xff\n")
    refused = place.repo.loki("plan", source)
    assert refused.code == 2
    assert expected in refused.err


def test_standing_input_is_a_plan_and_what_else_is_said_is_refused(place: Yard) -> None:
    made = json.loads(place.repo.loki("plan", "-", "--json", stdin="- [ ] a: Do it\n").out)
    assert [task["id"] for task in made["tasks"]] == ["a"]
    assert place.repo.loki("spawn", "x", "--plan", "tasks.md").code == 2
    assert place.repo.loki("spawn").code == 2


def test_issues_are_read_through_gh_and_closed_by_their_landing(
    place: Yard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    issues = {
        12: {"number": 12, "title": "Log in", "body": "With a token.", "state": "OPEN", "url": "…"},
        9: {"number": 9, "title": "Interface", "body": "", "state": "OPEN", "url": "…"},
    }
    gh = tmp_path / "bin" / "gh"
    gh.parent.mkdir()
    gh.write_text(
        "#!/usr/bin/env python3\nimport json, sys\n"
        f"issues = {issues!r}\nwords = sys.argv[1:]\n"
        "if words[:2] == ['issue', 'view']: print(json.dumps(issues[int(words[2])]))\n"
        "elif words[:2] == ['issue', 'list']: print(json.dumps(list(issues.values())))\n"
        "elif words[0] == 'api' and words[-1].endswith('12/dependencies/blocked_by'): print('[{\"number\": 9}]')\n"
        "elif words[-1].endswith('blocked_by'): print('[]')\n"
        "else: sys.exit('gh: Not Found (HTTP 404)')\n"
    )
    gh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{gh.parent}:{__import__('os').environ['PATH']}")
    shown = json.loads(place.repo.loki("plan", "gh:label=loki", "--json").out)
    assert [(task["id"], task["external"], [e["id"] for e in task["depends_on"]]) for task in shown["tasks"]] == [
        ("issue-9", "#9", []),
        ("issue-12", "#12", ["issue-9"]),
    ]
    assert "names no issues" in place.repo.loki("plan", "gh:colour=red").err
    done = place.repo.loki("run", "--plan", "gh:9")
    assert done.code == 0, done.err
    assert "Closes #9" in place.repo.git("log", "-1", "--format=%B").splitlines()
