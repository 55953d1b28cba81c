"""The merge train: 8 ready streams and a gate of one second, beside a loop of `git merge` and test, in one run.

    python benchmarks/train.py [STREAMS] [ROUNDS]

First all of them are good, then one breaks the tests (the loop takes its merge back). Ours is `loki-hooks run`, from
eight FEATURE_READY signals to the last move of main, read off the branch's file; what follows (removing eight
worktrees on evidence) is shown apart. The loop merges each branch in the same repository's clone and runs the same
script after each. Then what the gate costs `git push` when the result is known, beside `git push --no-verify`, with
the hook run natively. Prints times, ratios and how often the tests were run.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

LOKI = Path(sys.executable).parent / "loki-hooks"
GATE = "sleep 1\necho run >> '{runs}'\n! ls bad* 2>/dev/null\n"
CONFIG = "[environment]\nsetup = false\n[gates.unit]\ncommand = \"sh '{gate}'\"\n"


def call(cwd: Path, *argv: str | Path) -> str:
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{argv} failed: {done.stderr}")
    return done.stdout.strip()


@dataclass(frozen=True)
class Took:
    """Until all that may land has landed, and until there was nothing more to do."""

    seconds: float
    runs: int
    whole: float = 0.0


def make(root: Path, streams: int, bad: int) -> tuple[Path, Path]:
    """Return a repository with that many ready streams, the last ``bad`` of which break the tests, and its gate."""
    root.mkdir()
    gate = root / "gate.sh"
    gate.write_text(GATE.format(runs=root / "runs"))
    repo = root / "project"
    repo.mkdir()
    call(repo, "git", "init", "-q", "-b", "main")
    for number in range(200):
        (repo / f"file{number}.txt").write_text(f"{number}\n")
    (repo / "loki-hooks.toml").write_text(CONFIG.format(gate=gate))
    call(repo, "git", "add", "-A")
    call(repo, "git", "commit", "-q", "-m", "Begin")
    call(repo, LOKI, "install", "--native")
    names = [f"s{n}" for n in range(streams)]
    call(repo, LOKI, "spawn", "--no-launch", *names)
    os.environ["LOKI_HOOKS_DISABLE"] = "1"  # nothing begins before the clock runs
    for number, name in enumerate(names):
        there = root / f"project-feature-{name}"
        (there / f"{'bad' if number >= streams - bad else 'new'}-{name}.txt").write_text("x\n")
        call(there, "git", "add", "-A")
        call(there, "git", "commit", "-q", "-m", f"Work of {name}")
        (there / ".loki" / "signals" / f"FEATURE_READY_{name}").touch()
    del os.environ["LOKI_HOOKS_DISABLE"]
    return repo, gate


def runs(root: Path) -> int:
    path = root / "runs"
    count = len(path.read_text().split()) if path.exists() else 0
    path.unlink(missing_ok=True)
    return count


def train(repo: Path, landed: int) -> Took:
    began, clock = time.perf_counter(), time.time()
    call(repo, LOKI, "run")
    whole = time.perf_counter() - began
    took = (repo / ".git" / "refs" / "heads" / "main").stat().st_mtime - clock
    merged = len(call(repo, "git", "rev-list", "--first-parent", "--merges", "main").split())
    if merged != landed:
        sys.exit(f"{merged} of {landed} landed")
    return Took(took, runs(repo.parent), whole)


def loop(repo: Path, gate: Path, streams: int) -> Took:
    """Merge and test one branch after the other, in a clone that was made before; take back what fails."""
    clone = repo.parent / "loop"
    call(repo.parent, "git", "clone", "-q", str(repo), str(clone))
    began = time.perf_counter()
    for number in range(streams):
        call(clone, "git", "merge", "-q", "--no-ff", "--no-edit", f"origin/feature/s{number}")
        if subprocess.run(["sh", gate], cwd=clone, capture_output=True, check=False).returncode:
            call(clone, "git", "reset", "-q", "--hard", "HEAD^")
    return Took(time.perf_counter() - began, runs(repo.parent))


def push(repo: Path, rounds: int) -> tuple[float, float]:
    """Return the median milliseconds of a push whose result is known, and of one past the hook, by turns."""
    remote = repo.parent / "remote.git"
    call(repo.parent, "git", "init", "-q", "--bare", str(remote))
    call(repo, "git", "remote", "add", "origin", str(remote))
    call(repo, LOKI, "test", "main")

    def once(*words: str) -> float:
        began = time.perf_counter()
        call(repo, "git", "push", "-q", *words, "origin", "main")
        took = time.perf_counter() - began
        call(remote, "git", "update-ref", "-d", "refs/heads/main")
        return took * 1000

    pairs = [(once(), once("--no-verify")) for _ in range(rounds)]
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


def main() -> int:
    streams = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 15
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        home = Path(folder, "home")
        home.mkdir()
        os.environ.update(
            HOME=str(home), GIT_CONFIG_GLOBAL=str(home / ".gitconfig"), GIT_CONFIG_NOSYSTEM="1", LOKI_TRUST="1"
        )
        for key, value in (("user.name", "Bench"), ("user.email", "bench@example.invalid")):
            call(home, "git", "config", "--global", key, value)
        for word, bad in (("all good", 0), ("one of them bad", 1)):
            repo, gate = make(Path(folder, f"with-{bad}"), streams, bad)
            theirs = loop(repo, gate, streams)
            ours = train(repo, streams - bad)
            print(f"{streams} ready streams, a gate of one second, {word}:")
            print(f"  git merge and test, one by one {theirs.seconds:6.2f} s  {theirs.runs} test runs")
            print(
                f"  the train                      {ours.seconds:6.2f} s  {ours.runs} test runs   "
                f"x{ours.seconds / theirs.seconds:.2f} of the loop; cleaned up after {ours.whole:.2f} s"
            )
        hooked, past = push(repo, rounds)
        print("git push, the result is known:")
        print(
            f"  with the gate {hooked:6.1f} ms   --no-verify {past:6.1f} ms   x{hooked / past:.2f}, "
            f"{hooked - past:+.0f} ms"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
