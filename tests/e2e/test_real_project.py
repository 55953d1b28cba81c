"""The whole journey on a real project, with real hooks, seen from outside: what a user gets, and what is left.

The project is the source distribution of itsdangerous, with its own test suite as the gate. Three sessions make
real changes: a feature with a test, a documented function that changes, and one that breaks the project's tests.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from typing import TYPE_CHECKING

import pytest
from conftest import Repo, call, eventually
from support.look import events, our_processes, quiet, refs, signals, state_of, status, worktrees

from e2e.conftest import WAYS, Hooks

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.network]

TASK = "Improve the encoding; please"
AGENT = '''
"""Does what its task says, as an agent would: edits files in its worktree, commits or leaves that to others."""
import os, pathlib, subprocess, sys, time

name, task, hold = sys.argv[1:]
print(f"{name}: {task}", flush=True)
while os.path.exists(hold):
    time.sleep(0.05)
code = pathlib.Path("src/itsdangerous/encoding.py")
text = code.read_text()

def replace(old, new):
    assert text.count(old) == 1, old
    code.write_text(text.replace(old, new))

if name == "urlsafe":
    code.write_text(text + """

def is_url_safe(text: str | bytes) -> bool:
    \\"\\"\\"Return whether a text needs no quoting in a URL.\\"\\"\\"
    return all(c in _base64_alphabet for c in want_bytes(text))
""")
    pathlib.Path("tests/test_itsdangerous/test_is_url_safe.py").write_text("""
from itsdangerous.encoding import base64_encode
from itsdangerous.encoding import is_url_safe


def test_is_url_safe():
    assert is_url_safe(base64_encode(b"\\\\xff?\\\\xfe>"))
    assert not is_url_safe("a b")
""")
    subprocess.run(["git", "add", "-A"], check=True)
    subprocess.run(["git", "commit", "-q", "-m", "Add is_url_safe"], check=True)
elif name == "padding":
    replace("def base64_encode(string: str | bytes) -> bytes:",
            "def base64_encode(string: str | bytes, *, padding: bool = False) -> bytes:")
    text = code.read_text()
    replace('    return base64.urlsafe_b64encode(string).rstrip(b"=")',
            '    encoded = base64.urlsafe_b64encode(string)\\n    return encoded if padding else encoded.rstrip(b"=")')
elif name == "shorter":
    replace('    string += b"=" * (-len(string) % 4)\\n', "")
    subprocess.run(["git", "commit", "-q", "-a", "-m", "Make base64_decode shorter"], check=True)
'''

CONFIG = """
[agents.scripted]
command = ["{python}", "{agent}", "{{name}}", "{{task}}", "{hold}"]
[session]
agent = "scripted"
[environment]
setup = '''{setup}'''
[gates.unit]
command = "echo run >> {ran} && python -m pytest -q"
"""


def set_up(needs: Path) -> str:
    """Return the command that makes the project's environment: the project and what it needs, from where they are."""
    site = f".venv/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    return f"{sys.executable} -m venv --without-pip .venv && printf '%s\\n' {needs} \"$PWD/src\" > {site}/needs.pth"


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    """The file that gets a line each time that the gate's command runs."""
    return tmp_path / "ran"


def runs(ran: Path) -> int:
    return len(ran.read_text().splitlines()) if ran.exists() else 0


@pytest.fixture
def project(real: Repo, hooks: Hooks, needs: Path, ran: Path, tmp_path: Path) -> Repo:
    """The real project with its configuration and a remote."""
    agent = tmp_path / "agent.py"
    agent.write_text(AGENT)
    real.write(
        "loki-hooks.toml",
        CONFIG.format(python=sys.executable, agent=agent, setup=set_up(needs), ran=ran, hold=tmp_path / "hold"),
    )
    real.write(".gitignore", ".venv/\n__pycache__/\n.pytest_cache/\n")
    real.git("init", "-q", "--bare", "../origin.git")
    real.git("remote", "add", "origin", "../origin.git")
    return real


def activate_main(repo: Repo, needs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user works in an environment that has the main worktree installed editable, as people do."""
    pip = f"{sys.executable} -m pip --python .venv/bin/python install --quiet --no-index --no-deps --no-build-isolation"
    done = call(
        ["sh", "-c", f"{set_up(needs)} && sed -i 2d .venv/lib/python*/site-packages/needs.pth && {pip} -e ."], repo.path
    )
    assert done.code == 0, done.err
    monkeypatch.setenv("VIRTUAL_ENV", str(repo.path / ".venv"))
    monkeypatch.setenv("PATH", f"{repo.path / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize(
    "way", ["native", *(pytest.param(way, marks=pytest.mark.extra) for way in WAYS if way != "native")]
)
def test_the_good_land_the_bad_does_not_and_all_is_left_tidy(
    way: str, project: Repo, hooks: Hooks, needs: Path, ran: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOKI_MAX_PARALLEL_SESSIONS", "2")
    hooks.install(project, way)
    activate_main(project, needs, monkeypatch)
    begin = project.commit("Coordinate the sessions")
    eventually((project.path / ".git" / "loki" / "enabled").is_file, 20, "a hook that turns loki-hooks on")
    quiet(project)

    # Three sessions, two at a time; none ends before that was seen.
    (tmp_path / "hold").touch()
    said = project.loki("spawn", "urlsafe", "padding", "shorter", "--task", TASK, "--json")
    assert said.code == 0, said.err
    made = json.loads(said.out)
    assert [m["stream"] for m in made] == ["feature-urlsafe", "feature-padding", "feature-shorter"]
    assert [m["branch"] for m in made] == ["feature/urlsafe", "feature/padding", "feature/shorter"]
    assert {m["path"] for m in made} == {str(tmp_path / "work" / f"itsdangerous-{m['stream']}") for m in made}
    assert [m["status"] for m in made] == ["running", "running", "queued"]
    (tmp_path / "hold").unlink()

    # It goes on by itself.
    def settled() -> bool:
        states = [state_of(project, f"feature-{name}") for name in ("urlsafe", "padding", "shorter")]
        return states == ["archived", "archived", "rejected"]

    eventually(settled, 120)
    quiet(project)

    # History: two merge commits, each of exactly what the session left, on the first parent's line.
    log = project.git("log", "--first-parent", "--merges", "--format=%H %P", "main")
    merges = [line.split() for line in log.splitlines()]
    assert len(merges) == 2
    assert [merges[1][1], merges[0][1]] == [begin, merges[1][0]]
    tips = {line.split("/")[3]: oid for line, oid in refs(project, "refs/loki/trash/").items()}
    assert {merges[0][2], merges[1][2]} == {tips["feature-urlsafe"], tips["feature-padding"]}
    assert project.git("log", "-1", "--format=%s", tips["feature-urlsafe"]) == "Add is_url_safe"
    assert project.git("log", "-1", "--format=%s", tips["feature-padding"]) == TASK, "what it left, committed"
    assert "def is_url_safe" in (text := project.git("show", "main:src/itsdangerous/encoding.py"))
    assert "padding: bool = False" in text
    assert "-len(string) % 4" in text, "what breaks the tests is not there"
    assert project.git("status", "--porcelain") == "", "the main worktree is at what landed, and clean"
    assert (project.path / "src/itsdangerous/encoding.py").read_text().rstrip("\n") == text

    # Refs: the tested trees, the base of the one that stays, nothing of a train.
    tree = project.git("rev-parse", "main^{tree}")
    proofs = refs(project, f"refs/loki/gates/{tree}/")
    assert len(proofs) == 1
    result = json.loads(project.git("cat-file", "blob", *proofs.values()))
    assert (result["outcome"], result["tree"], result["gate"]) == ("passed", tree, "unit")
    assert "passed" in result["tail"]
    assert set(refs(project, "refs/loki/base/")) == {"refs/loki/base/feature-shorter"}
    assert refs(project, "refs/loki/processed") == {"refs/loki/processed": merges[0][0]}
    assert refs(project, "refs/loki/train") == {}
    assert project.git("branch", "--format=%(refname:short)").split() == ["feature/shorter", "main", "parallel-testing"]

    # Worktrees: the merged ones are gone, the rejected one and its branch are kept, the testing one is up to date.
    assert worktrees(project) == {
        "itsdangerous": "main",
        "itsdangerous-feature-shorter": "feature/shorter",
        "itsdangerous-testing": "parallel-testing",
    }
    assert project.git("rev-parse", "parallel-testing") == merges[0][0]
    assert project.git("status", "--porcelain", cwd=tmp_path / "work" / "itsdangerous-testing") == ""
    assert "locked" not in project.git("worktree", "list", "--porcelain")

    # Signals, queue, archive, status.
    assert signals(project) == {
        "TESTS_PASSED",
        "TESTS_PASSED_urlsafe",
        "TESTS_PASSED_padding",
        "TESTS_FAILED_shorter",
        "DOCS_NEEDED",
    }
    report = json.loads((project.signals / "TESTS_FAILED_shorter").read_text())["report"]
    assert [r["outcome"] for r in report] == ["failed"]
    assert "FAILED tests/test_itsdangerous/" in report[0]["tail"]
    items = json.loads(project.loki("queue", "list", "docs", "--json").out)
    (changed,) = [i for i in items if i["trigger"] == "public-changed"]
    assert (changed["symbol"], changed["file"], changed["commit"], changed["state"]) == (
        "base64_encode",
        "src/itsdangerous/encoding.py",
        tips["feature-padding"],
        "open",
    )
    assert changed["docs"] == [{"path": "docs/encoding.rst", "line": 6}]
    assert {i["symbol"] for i in items if i["trigger"] == "public-added"} == {"is_url_safe"}
    archives = sorted((project.path / ".loki" / "archive").iterdir())
    assert [a.name.rsplit("-", 1)[0] for a in archives] == ["feature-padding", "feature-urlsafe"]
    assert (archives[1] / "session-feature-urlsafe.log").read_text()[9:].startswith(f"urlsafe: {TASK}\n")
    assert {"UNDO.md", "record.json", "prompt.md", "CONTINUITY.md"} <= {p.name for p in archives[1].iterdir()}
    seen = status(project)
    assert (seen["active"], seen["main"]["dirty"], seen["verdict"]["verdict"]) == (0, False, "ESCALATE")
    (shorter,) = seen["streams"]
    assert (shorter["status"], shorter["ahead"], shorter["dirty"]) == ("rejected", 1, False)
    assert not shorter["session"]["alive"]
    assert {e["stream"] for e in events(project, "landed")} == {e["stream"] for e in events(project, "removed")}
    before = runs(ran)
    again = project.loki("run", "--once", "--json")
    assert json.loads(again.out)["steps"] == [], "another pass finds nothing to do"

    # The good one goes out, from the recorded result: nothing runs again.
    pushed = project.try_git("push", "origin", "main")
    assert pushed.code == 0, pushed.err
    assert project.git("rev-parse", "main") == project.git("ls-remote", "origin", "refs/heads/main").split()[0]
    assert runs(ran) == before

    # The bad one does not, and the tail says why; the second time from the record.
    there = tmp_path / "work" / "itsdangerous-feature-shorter"
    for _ in range(2):
        refused = project.try_git("push", "origin", "feature/shorter", cwd=there)
        assert refused.code == 1
        assert "FAILED tests/test_itsdangerous/" in refused.err + refused.out
        assert "failed" in refused.err + refused.out
        assert project.git("ls-remote", "origin", "refs/heads/feature/shorter") == ""
    assert runs(ran) <= before + 1, "at most its own tree was still to be tested"
    quiet(project)
    assert project.git("config", "--get", "core.bare") == "false"
    assert our_processes(project) == []


def test_an_editable_install_of_the_main_worktree_is_not_what_is_tested(
    project: Repo, hooks: Hooks, needs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an environment of its own, too: set-up is off, and the tests would import the main worktree's code."""
    config = project.path / "loki-hooks.toml"
    lines = [line if not line.startswith("setup = ") else "setup = false" for line in config.read_text().splitlines()]
    config.write_text("\n".join(lines))
    project.commit("No set-up")
    activate_main(project, needs, monkeypatch)
    hooks.install(project, "native")
    broken = "def base64_decode(string):\n    raise BadData('broken')\n"
    project.git("branch", "feature/broken")
    project.git("worktree", "add", "-q", "../broken", "feature/broken", env={"LOKI_HOOKS_DISABLE": "1"})
    path = project.path.parent / "broken"
    name = "src/itsdangerous/encoding.py"
    project.commit("Break it here only", {name: f"{(path / name).read_text()}\n\n{broken}"}, cwd=path)
    done = project.loki("test", "feature/broken", "--json")
    (result,) = json.loads(done.out)
    assert (done.code, result["outcome"]) == (1, "failed"), done.err
    assert json.loads(project.loki("test", "main", "--json").out)[0]["outcome"] == "passed"
    shutil.rmtree(path)
    quiet(project)
