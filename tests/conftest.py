"""Real git in a sealed home: no test sees the user's configuration, nor leaves anything outside its own folder."""

from __future__ import annotations

import compileall
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings
from support import processor_time, warm

import loki_hooks

settings.register_profile("loki-hooks", deadline=None)  # milliseconds belong in benchmarks
settings.load_profile("loki-hooks")
SCRIPTS = Path(sys.executable).parent


def pytest_configure(config: pytest.Config) -> None:
    """Compile the package once: the processes that tests start write no bytecode, and each would compile it all again.

    Whoever runs the tests in the background of a shell script has them ignore Ctrl-C, and all that they start: some start
    what is to be interrupted.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if not hasattr(config, "workerinput"):
        compileall.compile_dir(str(Path(loki_hooks.__file__).parent), quiet=2)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole sessions are slow."""
    for item in items:
        if {"actions", "e2e"} & set(item.path.parts[-2:-1]):
            item.add_marker(pytest.mark.slow)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what the tests and everything that they started cost; above the line that says how many passed."""
    user, system = processor_time.used()
    terminalreporter.write_line(f"processor time: {user + system:.0f} s (user {user:.0f} + system {system:.0f})")


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


def call(
    argv: list[str], cwd: Path, env: dict[str, str] | None = None, stdin: str | None = None, timeout: float = 120
) -> Done:
    """Run a program as a user would and return how it ended."""
    done = subprocess.run(
        argv,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        input=stdin,
        text=True,
        timeout=timeout,
        capture_output=True,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class Repo:
    """A real repository and the commands people type in it."""

    path: Path

    def git(self, *args: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
        """Run git, which must succeed, and return its stdout without the last newline."""
        done = call(["git", *args], cwd or self.path, env)
        assert done.code == 0, f"git {' '.join(args)}: {done.err}"
        return done.out.removesuffix("\n")

    def try_git(self, *args: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> Done:
        return call(["git", *args], cwd or self.path, env)

    def loki(
        self,
        *args: str,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
        stdin: str | None = None,
        timeout: float = 120,
    ) -> Done:
        """Run `loki-hooks`: its command line in a process that was forked from a warm one."""
        if args[:1] == ("hook",):
            return call([str(SCRIPTS / "loki-hooks"), *args], cwd or self.path, env, stdin, timeout)
        return Done(*warm.ask(list(args), cwd or self.path, {**os.environ, **(env or {})}, stdin, timeout))

    def write(self, name: str, text: str, cwd: Path | None = None) -> Path:
        path = (cwd or self.path) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def commit(self, message: str, files: dict[str, str] | None = None, cwd: Path | None = None) -> str:
        """Write ``files``, commit everything, return the commit id."""
        for name, text in (files or {}).items():
            self.write(name, text, cwd)
        self.git("add", "-A", cwd=cwd)
        self.git("commit", "-q", "--allow-empty", "-m", message, cwd=cwd)
        return self.git("rev-parse", "HEAD", cwd=cwd)

    @property
    def signals(self) -> Path:
        return self.path / ".loki" / "signals"


def eventually(check: Callable[[], object], timeout: float = 30, what: str = "") -> None:
    """Wait until ``check`` is true; fail after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    pause = 0.01
    while True:
        if check():
            return
        if time.monotonic() > deadline:
            pytest.fail(f"not within {timeout} s: {what or check}")
        time.sleep(pause)
        pause = min(pause * 1.3, 0.15)


PURE = ("domain", "test_architecture.py", "test_surface.py")
"""Folders and files with two thousand tests that compare values: making so many homes would cost more than they do."""


@pytest.fixture(autouse=True)
def sealed_home(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path | None]:
    """Every test that touches anything has a home, a git configuration and a clock zone of its own, and an editor that fails."""
    if "tmp_path" not in request.fixturenames and {*request.path.parts[-2:]} & {*PURE}:
        yield None
        return
    home: Path = request.getfixturevalue("tmp_path") / "home"
    runtime = home / "run"
    home.mkdir()
    runtime.mkdir(mode=0o700)
    for name in list(os.environ):
        if name.startswith(("GIT_", "LOKI_", "PRE_COMMIT", "PREK", "XDG_")):
            monkeypatch.delenv(name)
    config = home / ".gitconfig"
    config.write_text(
        "[user]\n\tname = Test\n\temail = test@example.invalid\n[init]\n\tdefaultBranch = main\n"
        '[commit]\n\tgpgsign = false\n[advice]\n\tdetachedHead = false\n[protocol "file"]\n\tallow = always\n'
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_TERMINAL_PROMPT", "0")
    monkeypatch.setenv("GIT_EDITOR", "false")
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PATH", f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}")
    yield home


_made: list[Path] = []


@pytest.fixture
def repo(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repo]:
    """A repository called ``project`` with one commit on ``main``; its worktrees will stand beside it.

    At the end loki-hooks is off there: whoever waits in it for a person leaves.
    """
    if not _made:
        first = Repo(tmp_path_factory.mktemp("first"))
        first.git("init", "-q")
        first.commit("Begin", {"README.md": "# project\n", "app.py": "def greet():\n    return 'hello'\n"})
        _made.append(first.path)
    made = Repo(tmp_path / "work" / "project")
    shutil.copytree(_made[0], made.path)
    made.git("update-index", "-q", "--refresh")  # the index knows files by their inodes, too
    yield made
    (made.path / ".git" / "loki" / "enabled").unlink(missing_ok=True)
