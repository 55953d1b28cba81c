"""The merge train on a real repository: what it costs, whom it blames, what it never lands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from itertools import accumulate
from pathlib import Path

import pytest
from conftest import SCRIPTS, Repo, eventually
from support.scripted import Yard, group_is_gone, yard

NAMES = [f"s{i}" for i in range(8)]


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")


def eight(repo: Repo, *culprits: str) -> Yard:
    made = yard(repo)
    made.streams({name: {f"bad-{name}" if name in culprits else f"{name}.txt": name} for name in NAMES})
    return made


def test_eight_good_streams_cost_one_gate_run_and_again_none(repo: Repo) -> None:
    made = eight(repo)
    made.run()
    assert made.landed() == NAMES
    assert len(made.runs()) == 1
    made.run()
    assert json.loads(repo.loki("test", "--json").out)[0]["cached"] is True
    assert len(made.runs()) == 1
    made.quiet()


@pytest.mark.parametrize(("cap", "most"), [(3, 2), pytest.param(1, 1, marks=pytest.mark.extra)])
def test_one_culprit_of_eight_costs_at_most_five_runs_side_by_side_as_far_as_the_cap_goes(
    repo: Repo, cap: int, most: int
) -> None:
    made = yard(repo, cap=cap)
    gate = made.outside / "gate.sh"
    count = f"'{made.outside}/count'"
    gate.write_text(f"echo +1 >> {count}\nsleep 0.3\ntrap 'echo -1 >> {count}' EXIT\n{gate.read_text()}")
    made.streams({name: {f"bad-{name}" if name == "s5" else f"{name}.txt": name} for name in NAMES})
    made.run()
    made.quiet()
    assert sorted(made.landed()) == [n for n in NAMES if n != "s5"]
    assert made.status("s5") == "rejected"
    assert "bad-s5 is bad" in json.loads((repo.signals / "TESTS_FAILED_s5").read_text())["report"][0]["tail"]
    steps = [int(line) for line in (made.outside / "count").read_text().split()]
    assert max(accumulate(steps)) == most
    assert steps.count(1) <= 5
    assert repo.git("rev-parse", "main^{tree}") in made.runs(), "landed as it was tested"
    assert not repo.git("for-each-ref", "refs/loki/rest/", "refs/loki/train")
    assert made.tree_of("s5").is_dir()
    made.run()
    assert len(made.runs()) <= 5


@pytest.mark.slow
def test_two_culprits_of_eight_cost_at_most_ten_runs(repo: Repo) -> None:
    made = eight(repo, "s0", "s6")
    made.run()
    assert sorted(made.landed()) == [n for n in NAMES if n not in {"s0", "s6"}]
    assert {made.status("s0"), made.status("s6")} == {"rejected"}
    assert len(made.runs()) <= 10, made.runs()
    assert len(set(made.runs())) == len(made.runs())


def test_a_red_integration_branch_is_found_out_once_and_then_nothing_runs(repo: Repo) -> None:
    made = yard(repo)
    repo.commit("Break main", {"bad-main": "x"})
    tip, names = repo.git("rev-parse", "main"), NAMES[:3]
    made.streams({name: {f"{name}.txt": name} for name in names})
    made.run()
    assert {made.status(name) for name in names} == {"ready"}
    assert all("pre-existing" in made.record(name)["reason"] for name in names)
    assert repo.git("rev-parse", "main") == tip
    assert not list(repo.signals.glob("TESTS_FAILED_*"))
    before = len(made.runs())
    assert before <= 5
    made.run()
    assert len(made.runs()) == before
    made.open("mends")
    repo.git("rm", "-q", "bad-main", cwd=made.tree_of("mends"))
    made.work("mends", {})
    made.run()
    assert sorted(made.landed()) == ["mends", *names]
    assert len(made.runs()) == before + 2, "all but the one that failed alone, then that one on what is mended"


@pytest.mark.parametrize("code", ["127", "kill"])
def test_what_could_not_run_lands_nothing_and_blames_nobody(repo: Repo, code: str) -> None:
    made = yard(repo)
    (made.outside / "gate-code").write_text(code) if code != "kill" else (made.outside / "gate.sh").write_text(
        "kill -9 $$\n"
    )
    made.streams({"a": {"a.txt": "a"}})
    before = repo.git("rev-parse", "main")
    made.run()
    assert repo.git("rev-parse", "main") == before
    assert made.status("a") == "ready"
    assert "could not be run" in made.record("a")["reason"]
    assert made.record("a")["rejections"] == 0
    assert not [p.name for p in repo.signals.iterdir() if p.name.startswith(("TESTS_", "MERGE_REQUESTED"))]


def test_a_gate_over_its_timeout_lands_nothing_and_leaves_no_process(repo: Repo) -> None:
    made = yard(repo, gate_timeout=1)
    (made.outside / "gate.sh").write_text(f"echo $$ > {made.outside}/pid\nsleep 600 &\nsleep 600\n")
    made.streams({"a": {"a.txt": "a"}})
    made.run()
    assert made.status("a") == "ready"
    assert "a" not in made.landed()
    group = int((made.outside / "pid").read_text())
    eventually(lambda: group_is_gone(group))


def test_no_test_collected_is_no_pass(repo: Repo) -> None:
    made = yard(repo)
    (made.outside / "gate.sh").write_text(
        "echo 'collected 0 items'; echo; echo '=== no tests ran in 0.01s ==='; exit 0\n"
    )
    made.streams({"a": {"a.txt": "a"}})
    made.run()
    assert made.landed() == []
    assert made.status("a") == "ready"


def test_a_stream_whose_tests_cannot_run_does_not_stop_the_others(repo: Repo) -> None:
    """An agent made the gate impossible to run: what does not contain that lands, and the stream is sent back, as compared."""
    made = yard(repo)
    made.streams({"a": {"a.txt": "a"}, "b": {"code": "127"}, "c": {"c.txt": "c"}, "d": {"d.txt": "d"}})
    made.run()
    assert sorted(made.landed()) == ["a", "c", "d"]
    assert made.status("b") == "rejected"
    assert "could not be run" in made.record("b")["reason"]


def test_streams_that_conflict_with_each_other_land_one_and_leave_the_other(repo: Repo) -> None:
    made = yard(repo)
    made.streams({"a": {"app.py": "A = 1\n"}, "b": {"app.py": "B = 2\n"}, "c": {"c.txt": "c"}})
    made.run()
    assert sorted(made.landed()) == ["a", "c"]
    assert made.status("b") == "conflicted"
    assert "app.py" in made.record("b")["reason"]
    tree = made.tree_of("b")
    repo.try_git("merge", "-q", "main", cwd=tree)
    repo.commit("Resolve", {"app.py": "A = 1\nB = 2\n"}, cwd=tree)
    made.run()
    assert made.landed()[-1] == "b"


def test_a_base_that_moved_meanwhile_is_tested_again_with_it(repo: Repo) -> None:
    made = yard(repo)
    (made.outside / "gate-wait").write_text("1.5")
    made.streams({"a": {"a.txt": "a"}})
    made.once()
    eventually(made.runs, what="the gate to run")
    tip = repo.commit("Meanwhile", {"other.txt": "x"})
    (made.outside / "gate-wait").unlink()
    made.run()
    made.quiet()
    assert made.landed() == ["a"]
    assert repo.git("rev-parse", "main^1") == tip
    assert len(made.runs()) == 2
    assert repo.git("rev-parse", "main^{tree}") == made.runs()[-1]


def test_a_commit_during_the_test_is_not_landed_with_it(repo: Repo) -> None:
    made = yard(repo)
    (made.outside / "gate-wait").write_text("1.5")
    made.streams({"a": {"a.txt": "a"}})
    made.once()
    eventually(made.runs, what="the gate to run")
    repo.commit("More, and bad", {"bad-a": "x"}, cwd=made.tree_of("a"))
    (made.outside / "gate-wait").unlink()
    made.run()
    made.quiet()
    assert made.landed() == []
    assert made.status("a") == "rejected"
    assert "bad-a" not in made.on_main()


def gate_that_waits(made: Yard) -> Path:
    """Have the gate wait until the file that is returned exists, with a child of its own."""
    go = made.outside / "go"
    gate = made.outside / "gate.sh"
    gate.write_text(f"echo $$ >> '{made.outside}/pids'\n{gate.read_text()}while [ ! -e '{go}' ]; do sleep 0.02; done\n")
    return go


@pytest.mark.parametrize("how", ["moved", "abandoned"])
def test_a_run_that_became_useless_is_ended_with_all_its_processes_and_leaves_no_result(repo: Repo, how: str) -> None:
    made = yard(repo)
    go = gate_that_waits(made)
    made.streams({"a": {"a.txt": "a"}})
    made.once()
    pids = made.outside / "pids"
    eventually(lambda: pids.exists() and pids.read_text().endswith("\n"), what="the gate to run")
    group = int(pids.read_text())
    eventually(lambda: list((made.loki_dir / "state" / "gate-runs").glob("*.json")))
    if how == "moved":
        made.work("a", {"more.txt": "m"})
        go.touch() if made.once() else None
    else:
        assert repo.loki("finish", "a", "--abandon").code == 0
    eventually(lambda: group_is_gone(group), what="the gate to be ended")
    made.run()
    made.quiet()
    (event,) = made.events("test-cancelled")
    assert (event["stream"], event["evidence"]["tree"]) == ("feature-a", made.runs()[0])
    known = repo.git("for-each-ref", "--format=%(refname)", "refs/loki/gates/")
    assert made.runs()[0] not in known
    assert repo.git("status", "--porcelain", cwd=repo.path.parent / "project-testing") == ""
    assert made.landed() == (["a"] if how == "moved" else [])
    assert len(made.runs()) == (2 if how == "moved" else 1)


def test_a_run_that_somebody_started_or_waits_for_goes_on(repo: Repo) -> None:
    made = yard(repo)
    go = gate_that_waits(made)
    made.streams({"a": {"a.txt": "a"}, "b": {"b.txt": "b"}})
    ask = [str(SCRIPTS / "loki-hooks"), "test", "--json"]
    first = subprocess.Popen([*ask, "b"], cwd=repo.path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    eventually(lambda: len(made.runs()) == 1)
    made.open("c")  # b is tested by somebody, a and b by the train, and c says that it is ready
    made.once()
    tree = repo.git("merge-tree", "--write-tree", repo.git("rev-parse", "refs/loki/train^1"), "feature/b")
    waits = subprocess.Popen(
        [*ask, repo.git("rev-parse", "refs/loki/train")],
        cwd=repo.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    eventually(lambda: list((made.loki_dir / "state" / "gate-waits").glob(f"{tree}.*.json")))
    made.work("a", {"more.txt": "m"})
    assert [s["step"] for s in made.once()["steps"] if s["step"] == "cancel"] == ["cancel"]
    assert made.events("test-cancelled") == []
    go.touch()
    answers = [json.loads(child.communicate(timeout=60)[0])[0] for child in (first, waits)]
    assert [(a["outcome"], a["cached"]) for a in answers] == [("passed", False), ("passed", True)]
    made.run()
    assert sorted(made.landed()) == ["a", "b"]
    assert len(set(made.runs())) == len(made.runs())


def test_four_passes_at_once_fail_nobody_and_test_nothing_twice(repo: Repo) -> None:
    made = yard(repo)
    (made.outside / "gate-wait").write_text("0.5")
    made.streams({"a": {"a.txt": "a"}, "b": {"b.txt": "b"}})
    children = [
        subprocess.Popen(
            [str(SCRIPTS / "loki-hooks"), "run", "--once", "--json"],
            cwd=repo.path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(4)
    ]
    ends = [child.communicate(timeout=60) for child in children]
    assert [child.returncode for child in children] == [0] * 4, ends
    for out, _ in ends:
        assert json.loads(out)["verdict"]["verdict"] in {"CONTINUE", "COMPLETE"}
    made.run()
    made.quiet()
    assert sorted(made.landed()) == ["a", "b"]
    assert len(made.runs()) == 1
    assert not made.events("step-failed")


def test_a_stream_cannot_change_the_gate_that_it_is_measured_by(repo: Repo) -> None:
    made = yard(repo)
    text = (repo.path / "loki-hooks.toml").read_text().replace(f"sh '{made.outside}/gate.sh'", "true")
    made.streams({"a": {"bad-a": "x", "loki-hooks.toml": text}, "b": {"b.txt": "b", "loki-hooks.toml": "[gates"}})
    repo.commit("Configure more", {"loki-hooks.toml": (repo.path / "loki-hooks.toml").read_text() + "# more\n"})
    (made.tree_of("b") / ".loki" / "signals" / "FEATURE_READY_b").unlink()
    made.open("c")
    said = repo.loki("status")
    assert "feature-a changes gates: not in force, the configuration of main gates it" in said.err
    assert "its own is not in force" in said.out
    seen = {s["name"]: s["not_in_force"] for s in json.loads(repo.loki("status", "--json").out)["streams"]}
    assert seen == {"a": ["gates"], "b": ["unreadable"], "c": []}
    made.run()
    assert made.landed() == []
    assert made.status("a") == "rejected"
    assert len(made.runs()) >= 1


def test_a_gate_that_is_only_in_the_working_copy_is_not_in_force(repo: Repo) -> None:
    made = yard(repo)
    config = repo.path / "loki-hooks.toml"
    config.write_text(config.read_text().replace(f"sh '{made.outside}/gate.sh'", "true"))
    made.streams({"a": {"bad-a": "x"}})
    made.run()
    assert made.status("a") == "rejected"


def test_dirt_found_in_a_gate_worktree_is_somebodys_and_another_one_is_used(repo: Repo) -> None:
    made = yard(repo)
    made.streams({"a": {"a.txt": "a"}})
    made.run()
    places = [repo.path.parent / name for name in ("project-testing", "project-testing-2", "project-testing-3")]
    for number, name in enumerate(("b", "c")):
        (places[number] / "app.py").write_text("somebody's\n")
        (places[number] / "note.txt").write_text("somebody's\n")
        made.streams({name: {f"{name}.txt": name}})
        made.run()
    assert made.landed() == ["a", "b", "c"]
    assert all(place.is_dir() for place in places)
    for place in places[:2]:
        assert (place / "app.py").read_text() == "somebody's\n"
        assert (place / "note.txt").read_text() == "somebody's\n"


def test_a_killed_gate_leaves_no_result_and_the_next_pass_runs_it(repo: Repo) -> None:
    made = yard(repo)
    (made.outside / "gate-wait").write_text("300")
    made.streams({"a": {"a.txt": "a"}})
    made.once()
    eventually(made.runs, what="the gate to run")
    runs = made.loki_dir / "state" / "gate-runs"
    eventually(lambda: list(runs.glob("*.json")), what="the run to be registered")
    (entry,) = runs.glob("*.json")
    eventually(entry.read_text, what="the run to be registered")
    value = json.loads(entry.read_text())
    os.kill(value["runner"]["pid"], signal.SIGKILL)
    (made.outside / "gate-wait").unlink()
    assert not made.repo.git("for-each-ref", "refs/loki/gates/")
    assert made.status("a") == "testing"
    made.run()
    assert made.landed() == ["a"]
    assert len(made.runs()) == 2
    eventually(lambda: not Path(f"/proc/{value['child']['pid']}").exists(), what="the orphaned gate to be ended")


def test_tests_that_leave_a_repository_a_process_and_a_commit_behind_disturb_nobody(repo: Repo) -> None:
    made = yard(repo)
    made.agent("x", "")
    (made.outside / "gate.sh").write_text(
        f"echo run >> '{made.outside}/runs'\n"
        "git init -q left && git -C left commit -q --allow-empty -m x\n"
        "echo dirt > app.py; git commit -q -am 'Made by a test'; echo more > app.py; echo new > new.txt\n"
        "git checkout -q -b made-by-a-test; sleep 300 & exit 0\n"
    )
    for name in ("a", "b", "c"):
        made.streams({name: {f"{name}.txt": name}})
        made.run()
    assert made.landed() == ["a", "b", "c"]
    assert not (repo.path.parent / "project-testing-2").exists()
    assert repo.git("status", "--porcelain", cwd=repo.path.parent / "project-testing") == ""
    assert repo.git("config", "core.bare") == "false"
    assert (repo.path / "app.py").read_text() == "def greet():\n    return 'hello'\n"


def test_killed_between_the_move_and_its_record_the_next_pass_finishes_it(repo: Repo) -> None:
    """The landing moved the branch; the state still says `merging`."""
    made = yard(repo)
    made.streams({"a": {"a.txt": "a"}})
    repo.git("merge", "-q", "--no-ff", "-m", "Landed", "feature/a")
    path = made.loki_dir / "state" / "orchestrator.json"
    state = json.loads(path.read_text())
    tip = repo.git("rev-parse", "feature/a")
    state["worktrees"]["feature-a"] |= {"status": "merging", "tip": tip}
    path.write_text(json.dumps(state))
    made.run()
    assert made.status("a") == "archived"
    assert not made.tree_of("a").exists()


@pytest.mark.parametrize("status", ["ready", "testing", "passed", "merging"])
def test_from_every_status_of_the_train_it_reaches_the_same_end(repo: Repo, status: str) -> None:
    made = yard(repo)
    made.streams({"a": {"a.txt": "a"}})
    path = made.loki_dir / "state" / "orchestrator.json"
    state = json.loads(path.read_text())
    state["worktrees"]["feature-a"] |= {"status": status, "tip": repo.git("rev-parse", "feature/a")}
    path.write_text(json.dumps(state))
    made.run()
    assert made.landed() == ["a"]
    assert made.status("a") == "archived"


def test_without_a_gate_nothing_lands_and_the_reason_is_said(repo: Repo) -> None:
    made = yard(repo, gate=False)
    made.streams({"a": {"a.txt": "a"}})
    made.run()
    assert made.status("a") == "ready"
    assert "no gate" in made.record("a")["reason"]
    assert made.landed() == []
