"""What a gate tests is what lands: nothing below ``.git``, and nothing that a run left, changes a byte of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Repo
from support.scripted import Yard, yard


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")


def outcome_of(made: Yard, *words: str) -> str:
    (answer,) = json.loads(made.repo.loki("test", "--json", *words).out)
    return str(answer["outcome"])


def gate_is(made: Yard, text: str) -> None:
    (made.outside / "gate.sh").write_text(text)


def gate_worktrees(made: Yard) -> list[str]:
    return sorted(p.name for p in made.path.parent.iterdir() if p.name.startswith("project-testing"))


def plant_filter(repo: Repo) -> None:
    repo.write(".git/info/attributes", "app.py filter=nice\n")
    repo.git("config", "filter.nice.smudge", "sed s/BUG/fine/")
    repo.git("config", "filter.nice.clean", "sed s/fine/BUG/")


def plant_line_ends(repo: Repo) -> None:
    repo.git(
        "config",
        "core.attributesFile",
        str(repo.write(".git/attributes", "*.py eol=crlf working-tree-encoding=UTF-16\n")),
    )
    repo.git("config", "core.autocrlf", "true")


def plant_replacement(repo: Repo) -> None:
    fine = repo.git("hash-object", "-w", str(repo.write(".git/fine", "fine\n")))
    repo.git("replace", "--force", repo.git("rev-parse", "HEAD:app.py"), fine)


def plant_place(repo: Repo) -> None:
    repo.git("config", "extensions.worktreeConfig", "true")
    elsewhere = repo.path.parent / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    (elsewhere / "app.py").write_text("fine\n")
    for admin in (repo.path / ".git" / "worktrees").glob("*"):
        (admin / "config.worktree").write_text(f"[core]\n\tworktree = {elsewhere}\n")


def plant_monitor(repo: Repo) -> None:
    repo.git("config", "core.fsmonitor", "true || :")
    repo.git("config", "core.ignoreStat", "true")
    repo.git("config", "core.checkStat", "minimal")


@pytest.mark.parametrize("plant", [plant_filter, plant_line_ends, plant_replacement, plant_place, plant_monitor])
def test_nothing_below_the_git_dir_changes_what_is_tested(repo: Repo, plant: Callable[[Repo], None]) -> None:
    made = yard(repo)
    gate_is(made, 'test "$(cat app.py)" = BUG\n')
    repo.commit("Red", {"app.py": "BUG\n"})
    for _ in range(2):  # where there is no gate worktree yet, and where there is one
        plant(repo)
        assert outcome_of(made, "--again") == "passed", "it saw other bytes than those of the commit"
    assert gate_worktrees(made) == ["project-testing"]


def test_filters_of_the_users_own_are_used_and_are_part_of_the_result(repo: Repo) -> None:
    made = yard(repo)
    repo.commit("Filtered", {".gitattributes": "*.up filter=up\n", "a.up": "TEXT\n"})
    gate_is(made, "grep -q text a.up\n")
    assert outcome_of(made) == "failed"
    repo.git("config", "--global", "filter.up.smudge", "tr A-Z a-z")
    repo.git("config", "--global", "filter.up.clean", "tr a-z A-Z")
    assert outcome_of(made) == "passed", "another filter is another fact, and every file is written anew"
    assert gate_worktrees(made) == ["project-testing"]


def test_other_attributes_write_files_anew_that_no_commit_changed(repo: Repo) -> None:
    made = yard(repo)
    repo.commit("Text", {"a.txt": "one\ntwo\n", "sub/b.txt": "one\ntwo\n"})
    assert outcome_of(made) == "passed"
    repo.commit("Line ends", {"sub/.gitattributes": "*.txt eol=crlf\n"})
    gate_is(
        made, "test $(grep -c \"$(printf '\\r')\" sub/b.txt) = 2 && test $(grep -c \"$(printf '\\r')\" a.txt) = 0\n"
    )
    assert outcome_of(made) == "passed"


@pytest.mark.parametrize("kind", ["line ends", "filter"])
def test_what_git_shows_as_modified_after_any_checkout_is_nobodys(repo: Repo, kind: str) -> None:
    made = yard(repo)
    if kind == "line ends":
        names = {f"{n}.txt": "one\r\ntwo\r\n" for n in range(3)}
        attributes = "*.txt text eol=lf\n"
    else:
        repo.git("config", "--global", "filter.up.clean", "tr a-z A-Z")
        repo.git("config", "--global", "filter.up.smudge", "cat")
        names = {f"{n}.txt": "raw\n" for n in range(3)}
        attributes = "*.txt filter=up\n"
    repo.commit("Raw", names)
    repo.write(".gitattributes", attributes)
    repo.git("add", ".gitattributes")
    repo.git("commit", "-q", "-m", "Attributes")
    gate_is(made, "touch *.txt\n")
    for number in range(3):
        repo.git("commit", "-q", "--allow-empty", "-m", "Next")
        assert outcome_of(made, "--again") == "passed", number
    assert gate_worktrees(made) == ["project-testing"]
    there = made.path.parent / "project-testing"
    (there / "1.txt").write_text("somebody's\r\n")
    assert outcome_of(made, "--again") == "passed"
    assert gate_worktrees(made) == ["project-testing", "project-testing-2"]
    assert (there / "1.txt").read_bytes() == b"somebody's\r\n"


def test_what_is_staged_only_is_somebodys_and_named(repo: Repo) -> None:
    made = yard(repo)
    assert outcome_of(made) == "passed"
    there = made.path.parent / "project-testing"
    (there / "app.py").write_text("staged\n")
    repo.git("add", "app.py", cwd=there)
    (there / "app.py").write_text(repo.git("show", "HEAD:app.py") + "\n")
    assert outcome_of(made, "--again") == "passed"
    assert repo.git("diff", "--cached", "--name-only", cwd=there) == "app.py"
    for number in (2, 3, 4):
        other = made.path.parent / f"project-testing-{number}"
        if not other.exists():
            repo.git("worktree", "add", "-q", "--detach", str(other))
        (other / "mine").write_text("mine\n")
    (answer,) = json.loads(repo.loki("test", "--json", "--again").out)
    assert answer["outcome"] == "could-not-run"
    assert f"{there}: it holds somebody's changes (app.py)" in answer["reason"]
    assert "project-testing-2: it holds somebody's changes (mine)" in answer["reason"]


def test_an_index_that_is_damaged_and_an_operation_that_a_run_left_are_no_obstacle(repo: Repo) -> None:
    made = yard(repo)
    gate_is(
        made,
        "git commit -q --allow-empty -m x; git update-index --assume-unchanged app.py; echo left >app.py\n"
        'git rebase -q --force-rebase -x false HEAD~1 2>/dev/null; echo broken >"$(git rev-parse --git-dir)/index"\n',
    )
    assert outcome_of(made) == "passed"
    gate_is(
        made,
        'grep -q hello app.py && test -z "$(git status --porcelain)" && ! ls "$(git rev-parse --git-dir)"/rebase*\n',
    )
    assert outcome_of(made, "--again") == "passed"
    assert gate_worktrees(made) == ["project-testing"]


def test_it_follows_an_integration_branch_that_was_rewritten(repo: Repo) -> None:
    made = yard(repo)
    assert outcome_of(made) == "passed"
    repo.git("commit", "-q", "--amend", "-m", "Amended")
    repo.commit("Next", {"next": "next\n"})
    assert outcome_of(made) == "passed"
    there = made.path.parent / "project-testing"
    assert repo.git("symbolic-ref", "--short", "HEAD", cwd=there) == "parallel-testing"
    assert repo.git("rev-parse", "parallel-testing") == repo.git("rev-parse", "main")


def setup_that_makes(made: Yard, command: str, more: str = "") -> None:
    text = (made.path / "loki-hooks.toml").read_text().replace("setup = false", f"setup = '''{command}'''")
    text = text.replace("[gates.unit]", f"[gates.unit]\n{more}")
    made.repo.commit("Set up", {".gitignore": "deps/\n.env\nshared/\n", "loki-hooks.toml": text})


def test_what_set_up_made_is_as_it_made_it_and_made_again_when_it_is_gone(repo: Repo) -> None:
    made = yard(repo)
    setup_that_makes(made, f"mkdir -p deps/cache && echo sound >deps/tool && echo x >>{made.outside}/set-ups")
    there = made.path.parent / "project-testing"

    def set_ups() -> int:
        return len((made.outside / "set-ups").read_text().split())

    gate_is(
        made,
        "test ! -e deps/cache/left && grep -q sound deps/tool; r=$?; mkdir -p deps/cache; echo >deps/cache/left; exit $r\n",
    )
    assert [outcome_of(made), outcome_of(made, "--again"), set_ups()] == ["passed", "passed", 1]
    gate_is(made, "grep -q sound deps/tool; r=$?; echo spoilt >deps/tool; exit $r\n")
    assert [outcome_of(made, "--again"), outcome_of(made, "--again"), set_ups()] == ["passed", "passed", 2]
    gate_is(made, "grep -q sound deps/tool\n")
    assert [outcome_of(made, "--again"), set_ups()] == ["passed", 3]
    shutil.rmtree(there / "deps")
    assert [outcome_of(made, "--again"), set_ups()] == ["passed", 4]
    gate_is(made, "echo spoilt >deps/tool; kill -9 $(grep ^PPid /proc/$PPID/status | cut -f2)\n")
    repo.loki("test", "--again")
    gate_is(made, "grep -q sound deps/tool\n")
    assert outcome_of(made, "--again") == "passed"
    assert gate_worktrees(made) == ["project-testing"]


def test_a_virtual_environment_without_an_interpreter_is_made_again(repo: Repo) -> None:
    made = yard(repo)
    make = 'rm -rf deps; mkdir -p deps/bin && touch deps/pyvenv.cfg && ln -s "$(command -v sh)" deps/bin/python'
    setup_that_makes(made, make)
    gate_is(made, "deps/bin/python -c true\n")
    assert outcome_of(made) == "passed"
    python = made.path.parent / "project-testing" / "deps" / "bin" / "python"
    python.unlink()
    python.symlink_to("/opt/upgraded/bin/python3")
    assert outcome_of(made, "--again") == "passed"


def test_the_environment_of_streams_comes_where_the_gate_says_so_and_goes_with_the_run(repo: Repo) -> None:
    made = yard(repo)
    setup_that_makes(made, "true")
    text = (made.path / "loki-hooks.toml").read_text().replace("[environment]", "[environment]\nlink = ['shared']")
    repo.commit("Link", {"loki-hooks.toml": text})
    repo.write(".env", "DB=dev\n")
    repo.write("shared/data", "data\n")
    gate_is(made, '. ./.env && test "$DB" = dev && test -s shared/data\n')
    (answer,) = json.loads(repo.loki("test", "--json").out)
    assert answer["outcome"] == "failed"
    assert "environment = true" in answer["reason"], "it passes with them: that is said"
    there = made.path.parent / "project-testing"
    assert not {".env", "shared"} & {p.name for p in there.iterdir()}
    repo.commit("Say so", {"loki-hooks.toml": text.replace("[gates.unit]", "[gates.unit]\nenvironment = true")})
    for _ in range(2):
        assert outcome_of(made, "--again") == "passed"
        assert not {".env", "shared"} & {p.name for p in there.iterdir()}
    assert Path(repo.path, "shared", "data").read_text() == "data\n"
    assert gate_worktrees(made) == ["project-testing"]
