"""Processes: a group is ended, and what has ended is not waited for."""

from __future__ import annotations

import os
import time
from pathlib import Path

from loki_hooks.system.processes import identify, is_alive, kill_group, start_child


def test_a_group_that_ends_when_told_is_not_waited_for_until_the_grace_is_over(tmp_path: Path) -> None:
    child = start_child(["sh", "-c", "sleep 300; true"], cwd=tmp_path, env=dict(os.environ))
    began = time.monotonic()
    kill_group(child.pid, grace=60)  # nobody has waited for the child yet: it stays a zombie
    assert time.monotonic() - began < 30
    child.communicate()
    assert child.returncode < 0


def test_who_does_not_end_when_told_is_killed_with_all_its_group(tmp_path: Path) -> None:
    stubborn = ["sh", "-c", "trap '' TERM; sleep 300 & echo $!; wait; wait"]
    child = start_child(stubborn, cwd=tmp_path, env=dict(os.environ))
    assert child.stdout is not None
    inner = identify(int(child.stdout.readline()))
    assert is_alive(inner)
    kill_group(child.pid, grace=0.2)
    child.communicate()
    assert child.returncode < 0
    assert not is_alive(inner)
