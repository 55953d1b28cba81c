"""Kernel locks: one has it, it ends with its process, and who goes on without it is told so by the type."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import Repo, eventually

from loki_hooks.errors import LokiError
from loki_hooks.system.locks import BusyError, hold, hold_pass, holder_of_pass, try_hold, try_hold_pass
from loki_hooks.system.site import discover

_HOLD = (
    "import sys, time\nfrom pathlib import Path\nfrom loki_hooks.system.locks import hold\n"
    "with hold(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)\n"
)
_PASS = (
    "import sys, time\nfrom pathlib import Path\nfrom loki_hooks.system.locks import hold_pass\n"
    "from loki_hooks.system.site import discover\n"
    "with hold_pass(discover(Path(sys.argv[1]))):\n    print('held', flush=True)\n    time.sleep(60)\n"
)


def holder(program: str, where: Path) -> subprocess.Popen[str]:
    child = subprocess.Popen([sys.executable, "-c", program, str(where)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def test_a_lock_is_had_by_one_and_ends_with_its_process(tmp_path: Path) -> None:
    lock = tmp_path / "sub" / "lock"
    child = holder(_HOLD, lock)
    assert try_hold(lock) is None
    begun = time.monotonic()
    with pytest.raises(BusyError, match=r"after 0\.1 s"):
        hold(lock, 0.1)
    assert time.monotonic() - begun >= 0.1
    child.kill()
    child.communicate(timeout=20)
    with hold(lock, 5):
        assert try_hold(lock) is None
    assert try_hold(lock) is not None


def test_a_lock_through_a_link_or_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    (tmp_path / "folder").mkdir()
    for name in ("link", "folder"):
        with pytest.raises(LokiError, match="cannot open the lock"):
            try_hold(tmp_path / name)
    assert not (tmp_path / "target").exists()


def test_a_lock_is_not_inherited_by_children(tmp_path: Path) -> None:
    with hold(tmp_path / "lock", 0):
        child = subprocess.Popen(["sleep", "30"], close_fds=False)
    try:
        with hold(tmp_path / "lock", 0):
            pass
    finally:
        child.kill()
        child.wait()


def test_who_holds_up_all_passes_is_named(repo: Repo) -> None:
    site = discover(repo.path)
    assert holder_of_pass(site) is None
    child = holder(_PASS, repo.path)
    try:
        with pytest.raises(BusyError, match=rf"still running after 0 s \(pid {child.pid}, since 20[^)]*Z\)"):
            hold_pass(site, 0)
        child.send_signal(signal.SIGSTOP)
        eventually(lambda: (who := holder_of_pass(site)) is not None and who.suspended)
        with pytest.raises(BusyError, match="suspended") as caught:
            hold_pass(site, 0)
        assert f"kill -CONT {child.pid}" in str(caught.value.hint)
        notes = repo.loki("status").err + repo.loki("status").out
        assert f"pid {child.pid}" in notes
        (site.private / "reconcile.lock").write_text("")  # suspended before it could say that it has it
        assert f"pid {child.pid}" in repo.loki("doctor").out
    finally:
        child.kill()
        child.communicate(timeout=20)
    assert holder_of_pass(site) is None  # what it wrote is no proof any more
    with hold_pass(site, 5):
        there = holder_of_pass(site)
        assert there is not None
        assert there.process.pid == os.getpid()
    assert holder_of_pass(site) is None


def test_the_proof_is_of_one_repository_and_ends_when_it_is_given_back(repo: Repo, tmp_path: Path) -> None:
    site = discover(repo.path)
    lock = try_hold_pass(site)
    assert lock is not None
    lock.require(site)
    repo.git("init", "-q", str(tmp_path / "other"))
    with pytest.raises(RuntimeError, match="not held"):
        lock.require(discover(tmp_path / "other"))
    lock.release()
    with pytest.raises(RuntimeError, match="not held"):
        lock.require(site)


def test_no_cleanup_without_the_lock_of_passes(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")
    from loki_hooks.actions.context import Context
    from loki_hooks.actions.removal.retire import clean_stream
    from loki_hooks.domain.streams.record import StreamRecord
    from loki_hooks.domain.streams.status import Status

    site = discover(repo.path)
    lock = hold_pass(site, 0)
    lock.release()
    repo.git("branch", "feature/x")
    with pytest.raises(RuntimeError, match="not held"):
        clean_stream(
            Context(site), lock, StreamRecord("feature", "x", Status.MERGED, "", "feature/x", origin="spawned")
        )
    assert repo.git("rev-parse", "feature/x")
