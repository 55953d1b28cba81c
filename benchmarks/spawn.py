"""Eight worktrees of a repository with 20,000 files: `loki-hooks spawn` beside `git worktree add`, in one run.

    python benchmarks/spawn.py [ROUNDS] [FOLDER]

FOLDER (default: /dev/shm, a tmpfs, else the temporary folder) holds everything. Each round times, one after the other:
`git worktree add` in a loop, eight of them at once, and one `loki-hooks spawn --no-launch` with eight names, from start
to end of the commands, registration and the streams' own files included. Prints each one's best and median in seconds
and the ratios of the medians; trust those, of a machine that does nothing else. Exit status 1 when ours is less than 1.8
times faster than the loop, or slower than eight at once.
"""

from __future__ import annotations

import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

LOKI = Path(sys.executable).parent / "loki-hooks"
FILES = 20_000
COUNT = 8
FASTER = 1.8


def git(cwd: Path, *args: str) -> str:
    return subprocess.run(["git", *args], cwd=cwd, check=True, capture_output=True, text=True).stdout


def make(root: Path) -> Path:
    repo = root / "project"
    repo.mkdir()
    git(repo, "init", "-q", "-b", "main")
    for key, value in (
        ("user.name", "Bench"),
        ("user.email", "bench@example.invalid"),
        ("commit.gpgsign", "false"),
        ("gc.auto", "0"),
        ("maintenance.auto", "false"),
    ):
        git(repo, "config", key, value)
    chance = random.Random(1)
    for number in range(FILES):
        path = repo / f"part{number % 40}" / f"room{number % 400 // 40}" / f"file{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"value_{line} = {chance.random()}\n" for line in range(chance.randint(3, 60))))
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "Begin")
    git(repo, "gc", "-q")
    (repo / ".git" / "loki").mkdir()
    (repo / ".git" / "loki" / "enabled").write_text("benchmark\n")
    return repo


def loop(repo: Path) -> None:
    for number in range(COUNT):
        git(repo, "worktree", "add", "-q", f"../loop{number}", "-b", f"loop{number}")


def at_once(repo: Path) -> None:
    children = [
        subprocess.Popen(
            ["git", "worktree", "add", "-q", f"../once{number}", "-b", f"once{number}"],
            cwd=repo,
            stderr=subprocess.DEVNULL,
        )
        for number in range(COUNT)
    ]
    lost = [child.wait() for child in children].count(0) - COUNT
    if lost:
        print(f"  ({-lost} of {COUNT} at once failed: git does not expect company)")


def ours(repo: Path) -> None:
    subprocess.run(
        [LOKI, "spawn", "--no-launch", *(f"n{number}" for number in range(COUNT))],
        cwd=repo,
        check=True,
        capture_output=True,
    )


def clear(repo: Path) -> None:
    """Take everything away again; the next one begins with nothing."""
    for entry in git(repo, "worktree", "list", "--porcelain", "-z").split("\0"):
        if entry.startswith("worktree ") and entry != f"worktree {repo}":
            shutil.rmtree(entry.removeprefix("worktree "), ignore_errors=True)
    git(repo, "worktree", "prune", "--expire=now")
    for ref in git(repo, "for-each-ref", "--format=%(refname)").split():
        if ref != "refs/heads/main":
            git(repo, "update-ref", "-d", ref)
    shutil.rmtree(repo / ".loki", ignore_errors=True)


def clean(repo: Path) -> None:
    """See to it that what was made is what it should be."""
    for number in range(COUNT):
        there = repo.parent / f"project-feature-n{number}"
        assert git(there, "status", "--porcelain") == "", there
        assert git(there, "rev-parse", "--abbrev-ref", "HEAD") == f"feature/n{number}\n"


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    place = sys.argv[2] if len(sys.argv) > 2 else "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=place) as folder:
        home = Path(folder, "home")
        home.mkdir()
        os.environ.update(
            HOME=str(home),
            GIT_CONFIG_GLOBAL=str(home / ".gitconfig"),
            GIT_CONFIG_NOSYSTEM="1",
            LOKI_TRUST="1",
            XDG_STATE_HOME=str(home / "state"),
        )
        repo = make(Path(folder))
        ways: dict[str, Callable[[Path], None]] = {
            "in a loop": loop,
            f"{COUNT} at once": at_once,
            "loki-hooks spawn": ours,
        }
        times: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(rounds + 1):  # the first one warms the caches
            for name, way in ways.items():
                began = time.perf_counter()
                way(repo)
                if number:
                    times[name].append(time.perf_counter() - began)
                if way is ours:
                    clean(repo)
                clear(repo)
        middle = {name: statistics.median(found) for name, found in times.items()}
        for name, found in times.items():
            print(
                f"{name:18} best {min(found):6.2f} s   median {middle[name]:6.2f} s   "
                f"ours x{middle[name] / middle['loki-hooks spawn']:.2f} faster"
            )
    mine = middle["loki-hooks spawn"]
    return 0 if middle["in a loop"] >= FASTER * mine and middle[f"{COUNT} at once"] >= mine else 1


if __name__ == "__main__":
    sys.exit(main())
