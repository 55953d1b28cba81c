"""What our hooks cost: `git checkout` and `git commit`, without a hook and with ours, in one run.

    python benchmarks/hook_cost.py [ROUNDS]

Prints medians in milliseconds and ratios against plain git. Trust the ratios. "Nothing to do" is the case that most
repositories meet most of the time; "hands over" is a switch of branches where loki-hooks is on: it includes the
detaching, not the detached worker.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

LOKI = Path(sys.executable).parent / "loki-hooks"


def git(cwd: Path, *args: str) -> None:
    subprocess.run(["git", *args], cwd=cwd, check=True, capture_output=True)


def make(root: Path) -> Path:
    repo = root / "project"
    repo.mkdir()
    git(repo, "init", "-q", "-b", "main")
    for key, value in (("user.name", "Bench"), ("user.email", "bench@example.invalid"), ("commit.gpgsign", "false")):
        git(repo, "config", key, value)
    for number in range(200):
        (repo / f"file{number}.txt").write_text(f"{number}\n")
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "Begin")
    git(repo, "branch", "other")
    return repo


def median(rounds: int, action: Callable[[], None]) -> float:
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        action()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder, "home")
        home.mkdir()
        os.environ.update(
            HOME=str(home), GIT_CONFIG_GLOBAL=str(home / ".gitconfig"), GIT_CONFIG_NOSYSTEM="1", LOKI_TRUST="1"
        )
        repo = make(Path(folder))

        def switch() -> None:
            git(repo, "switch", "-q", "-")

        def restore() -> None:
            git(repo, "checkout", "-q", "--", "file1.txt")

        def commit() -> None:
            git(repo, "commit", "-q", "--allow-empty", "-m", "x")

        git(repo, "switch", "-q", "other")
        plain = {"switch": median(rounds, switch), "restore": median(rounds, restore), "commit": median(rounds, commit)}
        subprocess.run([LOKI, "install", "--native"], cwd=repo, check=True, capture_output=True)
        ours = {"restore": median(rounds, restore), "switch": median(rounds, switch), "commit": median(rounds, commit)}
        os.environ["LOKI_HOOKS_DISABLE"] = "1"
        off = {"switch": median(rounds, switch), "commit": median(rounds, commit)}
        del os.environ["LOKI_HOOKS_DISABLE"]
        time.sleep(3)  # the last workers
        for what, mine, base in (
            ("switch, hooks switched off (ends in sh)", off["switch"], plain["switch"]),
            ("checkout of a file (ends in sh)", ours["restore"], plain["restore"]),
            ("switch (hands over)", ours["switch"], plain["switch"]),
            ("commit, hooks switched off (ends in sh)", off["commit"], plain["commit"]),
            ("commit (hands over)", ours["commit"], plain["commit"]),
        ):
            print(f"{what:42} {mine:7.1f} ms   plain git {base:6.1f} ms   x{mine / base:.2f}")
        shutil.rmtree(repo, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
