"""The conflict radar: 50 streams, so 1,225 pairs, on a repository of 5,000 files.

    python benchmarks/radar.py [STREAMS] [ROUNDS]

Every fifth stream has uncommitted work, every tenth renamed a file, and each changed six files anywhere, so some
conflict. In one run, beside one `git merge-tree` process per pair:

- the pairs alone: all of them merged for the first time, and again from memory;
- the radar as a whole, which looks into every worktree (one `git status` each, as the column for uncommitted work
  needs in any case) and makes a snapshot of what is uncommitted there;
- `loki-hooks status --json`, cold and warm, beside the start-up of the program (`loki-hooks cap`).

Prints milliseconds (the best of the rounds; the loop of single processes runs once) and ratios. Trust the ratios.
"""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.actions.radar.survey import conflicts_of_tips, survey
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.status import Status
from loki_hooks.system.git.snapshots import look
from loki_hooks.system.site import discover

LOKI = Path(sys.executable).parent / "loki-hooks"
FOLDERS, FILES = 100, 50


def git(cwd: Path, *args: str) -> str:
    return subprocess.run(["git", *args], cwd=cwd, check=True, capture_output=True, text=True).stdout.strip()


def make(root: Path, streams: int) -> Path:
    """Return a repository of 5,000 files with that many worktrees, adopted as streams."""
    pick = random.Random(7)
    repo = root / "project"
    repo.mkdir()
    git(repo, "init", "-q", "-b", "main")
    for key, value in (("user.name", "Bench"), ("user.email", "bench@example.invalid"), ("commit.gpgsign", "false")):
        git(repo, "config", key, value)
    for folder in range(FOLDERS):
        (repo / f"d{folder}").mkdir()
        for file in range(FILES):
            lines = "".join(f"{folder} {file} line {n}\n" for n in range(40))
            (repo / f"d{folder}" / f"f{file}.py").write_text(lines)
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "Begin")
    (repo / ".git" / "loki").mkdir()
    (repo / ".git" / "loki" / "enabled").write_text("benchmark\n")
    base = git(repo, "rev-parse", "HEAD")
    records = []
    for number in range(streams):
        there = root / f"project-feature-s{number}"
        git(repo, "worktree", "add", "-q", "-b", f"feature/s{number}", str(there))
        for _ in range(6):
            change(there / f"d{pick.randrange(FOLDERS)}" / f"f{pick.randrange(FILES)}.py", f"of s{number}")
        if number % 10 == 0:
            git(there, "mv", f"d{number}/f1.py", f"d{number}/g1.py")
        git(there, "add", "-A")
        git(there, "commit", "-q", "-m", f"Work of s{number}")
        if number % 5 == 0:
            change(there / f"d{number % FOLDERS}" / "f2.py", f"uncommitted of s{number}")
        records.append(
            StreamRecord(
                "feature",
                f"s{number}",
                Status.OPEN,
                str(there),
                f"feature/s{number}",
                base=base,
                tip=git(there, "rev-parse", "HEAD"),
                origin="adopted",
            )
        )
    context = Context(discover(repo))

    def put(state):  # type: ignore[no-untyped-def]
        for record in records:
            state = state.with_stream(record)
        return state

    context.store.update(put)
    for record in records:  # a fresh checkout looks racy to git until it has looked once, which makes each look dearer
        git(Path(record.path), "status")
    return repo


def change(path: Path, word: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        path.write_text(path.read_text().replace("line 5\n", f"line 5 {word}\n"))


def best(rounds: int, action: Callable[[], object], before: Callable[[], object] = lambda: None) -> float:
    times = []
    for _ in range(rounds):
        before()
        began = time.perf_counter()
        action()
        times.append((time.perf_counter() - began) * 1000)
    return min(times)


def main() -> int:
    streams = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder, "home")
        home.mkdir()
        os.environ.update(HOME=str(home), GIT_CONFIG_GLOBAL=str(home / ".gitconfig"), GIT_CONFIG_NOSYSTEM="1")
        repo = make(Path(folder), streams)
        memory = repo / ".loki" / "state" / "radar.json"

        def forget() -> None:
            memory.unlink(missing_ok=True)

        def context() -> Context:
            made = Context(discover(repo))
            made.config  # noqa: B018  read before the clock runs: every command has it
            return made

        records = sorted(context().store.read().streams.values(), key=lambda r: r.stream)
        tips = {r.stream: r.tip for r in records}
        base = git(repo, "rev-parse", "main")
        pairs = list(combinations([r.tip for r in records], 2))
        now = context()

        def one_by_one() -> None:
            for ours, theirs in pairs:
                subprocess.run(
                    ["git", "merge-tree", "--write-tree", "--name-only", ours, theirs],
                    cwd=repo,
                    capture_output=True,
                    check=False,
                )

        def status() -> None:
            subprocess.run([LOKI, "status", "--json"], cwd=repo, check=True, capture_output=True)

        def looks() -> None:
            for record in records:
                look(Path(record.path), lambda _: False)

        cold = best(rounds, lambda: conflicts_of_tips(now, records), forget)
        warm = best(rounds, lambda: conflicts_of_tips(now, records))
        whole_cold = best(rounds, lambda: survey(now, records, tips, base), forget)
        whole_warm = best(rounds, lambda: survey(now, records, tips, base))
        looking = best(rounds, looks)
        loop = best(1, one_by_one)
        start = best(rounds, lambda: subprocess.run([LOKI, "cap"], cwd=repo, check=True, capture_output=True))
        status_cold = best(rounds, status, forget)
        status_warm = best(rounds, status)
        seen = survey(now, records, tips, base)
        clashes = sum(len(others) for others in seen.conflicts.values()) // 2
        print(
            f"{len(records)} streams, {len(pairs)} pairs of which {clashes} conflict, {FOLDERS * FILES} files, "
            f"{os.cpu_count()} processors"
        )
        for what, took, note in (
            ("one git process per pair", loop, ""),
            ("the pairs, cold", cold, f"{loop / cold:.1f} times as fast"),
            ("the pairs, warm", warm, "nothing is merged"),
            (f"looking into {len(records)} worktrees, one by one", looking, "one git status each"),
            ("the radar with its looks, cold", whole_cold, f"{loop / whole_cold:.1f} times as fast as the loop alone"),
            ("the radar with its looks, warm", whole_warm, f"{whole_warm - looking:+.0f} ms beside those looks"),
            ("start-up (loki-hooks cap)", start, ""),
            ("loki-hooks status --json, cold", status_cold, f"{status_cold - start:+.0f} ms on start-up"),
            ("loki-hooks status --json, warm", status_warm, f"{status_warm - start:+.0f} ms on start-up"),
        ):
            print(f"  {what:44} {took:8.1f} ms   {note}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
