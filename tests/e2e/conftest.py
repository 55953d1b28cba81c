"""What the journeys share: this checkout as a hook repository, and a real project.

Everything costly is made once a test run, below pytest's own folder, also when several workers run the tests.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import SCRIPTS, Repo, call

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
HOOKS = ("post-checkout", "post-merge", "post-rewrite", "pre-push", "pre-merge-commit", "post-commit")
WAYS = ("native", "pre-commit", "prek")
PROJECT = "itsdangerous==2.2.0"
NEEDS = ("pytest", "freezegun", "flit_core<4")


def once(folder: Path, name: str, make: Callable[[Path], None]) -> Path:
    """Return ``folder/name``, made by ``make`` unless it, or another worker, has made it before."""
    target = folder / name
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / f"{name}.made").exists():
            target.mkdir(exist_ok=True)
            make(target)
            (folder / f"{name}.made").touch()
    return target


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of this test run that all its workers see."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


def cache_in(shared: Path) -> dict[str, str]:
    """Return the variables that make pip, pre-commit and prek keep what they build in one place for all tests.

    What prek installs with looks at the system's certificates only where it is told to.
    """
    return {"XDG_CACHE_HOME": str(shared / "cache"), "UV_NATIVE_TLS": "1", "UV_SYSTEM_CERTS": "1"}


@pytest.fixture(scope="session")
def hook_repository(shared: Path) -> tuple[Path, str]:
    """A clone of this checkout, and the commit in it that frameworks install.

    That is the checkout's HEAD; where the work tree differs from it, a commit of the difference on top, so that
    what is being worked on is what is tested.
    """

    def make(target: Path) -> None:
        who = ["-c", "user.name=Test", "-c", "user.email=test@example.invalid", "-c", "commit.gpgsign=false"]
        if (ROOT / ".git").exists():
            _git("clone", "--quiet", "--no-local", str(ROOT), str(target), cwd=shared)
        else:  # a source distribution
            _git("init", "--quiet", cwd=target)
        _git(f"--work-tree={ROOT}", "add", "--all", cwd=target)
        if _git("diff", "--cached", "--name-only", cwd=target) or not (ROOT / ".git").exists():
            _git(*who, "commit", "--quiet", "--no-verify", "-m", "What is being worked on", cwd=target)
        _git("reset", "--quiet", "--hard", cwd=target)

    path = once(shared, "loki-hooks", make)
    return path, _git("rev-parse", "HEAD", cwd=path)


def _git(*words: str, cwd: Path) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return subprocess.run(["git", *words], cwd=cwd, env=env, check=True, capture_output=True, text=True).stdout.strip()


@dataclass(frozen=True)
class Hooks:
    """Puts the hooks into a repository, in each of the ways that people do."""

    repository: Path
    revision: str

    @property
    def config(self) -> str:
        """What stands in ``.pre-commit-config.yaml``: all hooks of this checkout."""
        ids = "".join(f"      - id: {name}\n" for name in HOOKS)
        return (
            f"default_install_hook_types: [{', '.join(HOOKS)}]\nrepos:\n  - repo: {self.repository}\n"
            f"    rev: {self.revision}\n    hooks:\n{ids}"
        )

    def install(self, repo: Repo, way: str) -> None:
        """Have the hooks run in ``repo``: ``native``, ``pre-commit`` or ``prek``."""
        if way == "native":
            done = repo.loki("install", "--native")
        else:
            repo.write(".pre-commit-config.yaml", self.config)
            done = call([str(SCRIPTS / way), "install", "--install-hooks"], repo.path)
        assert done.code == 0, done.out + done.err


@pytest.fixture
def hooks(hook_repository: tuple[Path, str], shared: Path, monkeypatch: pytest.MonkeyPatch) -> Hooks:
    """The way to install hooks, with the user's word given and the caches of the frameworks shared by all tests."""
    for name, value in cache_in(shared).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LOKI_TRUST", "1")
    return Hooks(*hook_repository)


@pytest.fixture(scope="session")
def needs(shared: Path) -> Path:
    """What the real project's environments are made of, installed once."""

    def make(target: Path) -> None:
        _pip("install", "--target", str(target), *NEEDS, shared=shared)

    return once(shared, "needs", make)


@pytest.fixture(scope="session")
def project_source(shared: Path) -> Path:
    """A real project that nobody here wrote, with its own test suite, from its source distribution."""

    def make(target: Path) -> None:
        _pip("download", "--no-deps", "--no-binary", "itsdangerous", "--dest", str(target), PROJECT, shared=shared)
        (archive,) = target.glob("*.tar.gz")
        with tarfile.open(archive) as packed:
            packed.extraction_filter = getattr(tarfile, "data_filter", None)  # only since Python 3.11.4
            packed.extractall(target)
        archive.unlink()

    (source,) = once(shared, "source", make).iterdir()
    return source


def _pip(*words: str, shared: Path) -> None:
    argv = [sys.executable, "-m", "pip", *words, "--quiet", "--disable-pip-version-check"]
    done = call(argv, shared, cache_in(shared))
    assert done.code == 0, done.out + done.err


@pytest.fixture
def real(tmp_path: Path, project_source: Path) -> Repo:
    """The real project in a fresh repository on ``main``, as its first commit."""
    path = tmp_path / "work" / "itsdangerous"
    shutil.copytree(project_source, path)
    made = Repo(path)
    made.git("init", "-q")
    made.commit("Import itsdangerous 2.2.0")
    return made
