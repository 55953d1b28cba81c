"""What a merge of 200 changed Python files costs: the hook that git waits for, and the analysis that it leaves behind.

    python benchmarks/docs.py [FILES] [ROUNDS]

The repository has twice as many modules as change, of some 150 lines each, and one document of 120 lines for every four of
them; in each module that changes three signatures change, one function is new, one is gone, and all bodies are other ones.
The analysis runs in a process of its own, as after a merge; its time (start-up included) and its largest memory are
printed, beside those of a merge without any hook and with ours. Trust the ratios.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LOKI = Path(sys.executable).parent / "loki-hooks"
ANALYSE = """
import json, resource, sys, time
from pathlib import Path
began = time.perf_counter()
from loki_hooks.actions.context import Context
from loki_hooks.actions.writing.docs import follow_docs
from loki_hooks.system.site import discover
noted = follow_docs(Context(discover(Path.cwd())), sys.argv[1], sys.argv[2])
peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
used = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print(json.dumps([time.perf_counter() - began, used, peak / 1024, noted.made]))
"""


def git(cwd: Path, *args: str) -> str:
    return subprocess.run(["git", *args], cwd=cwd, check=True, capture_output=True, text=True).stdout.strip()


def module(number: int, *, changed: bool) -> str:
    """Return a module's source: a class with methods, functions with defaults, annotations and docstrings."""
    more, step = (", retries: int = 3", 2) if changed else ("", 1)
    lines = ['"""A module of the benchmark."""', "", "from __future__ import annotations", "", ""]
    for f in range(8):
        if f == 7 and changed:
            continue
        extra = more if f < 2 else ""
        lines += [
            f"def load_{number}_{f}(path: str, limit: int = {f}{extra}) -> list[str]:",
            f'    """Load what is in ``path``, at most ``limit``; see also :func:`load_{number}_{(f + 1) % 8}`."""',
            "    found = []",
            *(f"    found.append(path * {i * step} + str(limit + {i}))" for i in range(4)),
            "    return found",
            "",
            "",
        ]
    lines += [f"class Store{number}:", '    """Keeps things."""', "", "    size: int = 0", ""]
    for m in range(8):
        extra = more if m == 0 else ""
        lines += [
            f"    def keep_{m}(self, key: str, value: object = None{extra}) -> None:",
            f'        """Keep ``value`` under ``key`` ({m})."""',
            f"        self.size += {m * step}",
            "        print(key, value)",
            "",
        ]
    if changed:
        lines += ["", f"def fresh_{number}(name: str) -> str:", "    return name", ""]
    return "\n".join(lines) + "\n"


def document(number: int) -> str:
    text = [f"# Part {number}", ""]
    for n in range(number * 4, number * 4 + 4):
        text += [f"## Store{n}", "", f"Make one with `Store{n}()`, then call `Store{n}.keep_0`.", "", "```python"]
        text += [f"from pkg.m{n} import load_{n}_{f}; load_{n}_{f}('x', limit={f})" for f in range(8)]
        text += ["```", "", *(f"Words about nothing in particular, line {i}." for i in range(10)), ""]
    return "\n".join(text) + "\n"


def make(root: Path, files: int) -> Path:
    repo = root / "project"
    (repo / "src" / "pkg").mkdir(parents=True)
    (repo / "docs").mkdir()
    git(repo, "init", "-q", "-b", "main")
    for key, value in (("user.name", "Bench"), ("user.email", "bench@example.invalid"), ("commit.gpgsign", "false")):
        git(repo, "config", key, value)
    (repo / "src" / "pkg" / "__init__.py").write_text("")
    (repo / "README.md").write_text("# Project\n\nSee `src/pkg/m0.py`.\n")
    for n in range(files * 2):
        (repo / "src" / "pkg" / f"m{n}.py").write_text(module(n, changed=False))
    for n in range(files // 2):
        (repo / "docs" / f"part{n}.md").write_text(document(n))
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "Begin")
    git(repo, "switch", "-q", "-c", "topic")
    for n in range(files):
        (repo / "src" / "pkg" / f"m{n}.py").write_text(module(n, changed=True))
    git(repo, "commit", "-q", "-a", "-m", "Change all of it")
    git(repo, "switch", "-q", "main")
    return repo


def merge(repo: Path) -> float:
    git(repo, "reset", "-q", "--hard", "before")
    began = time.perf_counter()
    git(repo, "merge", "-q", "--no-ff", "--no-edit", "topic")
    return time.perf_counter() - began


def main() -> int:
    files = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder, "home")
        home.mkdir()
        os.environ.update(HOME=str(home), GIT_CONFIG_GLOBAL=str(home / ".gitconfig"), GIT_CONFIG_NOSYSTEM="1")
        repo = make(Path(folder), files)
        git(repo, "tag", "before")
        bare = min(merge(repo) for _ in range(rounds))
        after = git(repo, "rev-parse", "HEAD")
        runs = []
        for _ in range(rounds):
            subprocess.run(["rm", "-rf", str(repo / ".loki")], check=True)
            done = subprocess.run(
                [sys.executable, "-c", ANALYSE, "before", after], cwd=repo, check=True, capture_output=True, text=True
            )
            runs.append(json.loads(done.stdout))
        seconds, used, peak, made = min(runs)
        git(repo, "reset", "-q", "--hard", "before")
        subprocess.run([LOKI, "install", "--native"], cwd=repo, check=True, capture_output=True)
        git(repo, "commit", "-q", "--allow-empty", "-m", "Installed")
        git(repo, "tag", "-f", "before")
        hooked = merge(repo)
        wait_for(repo)
    print(f"{files} changed Python files of {files * 2}, {files // 2} documents, {os.cpu_count()} processors")
    print(f"  git merge, no hook             {bare * 1000:8.0f} ms")
    print(f"  git merge, post-merge hook     {hooked * 1000:8.0f} ms   (git returns; the analysis goes on behind it)")
    print(
        f"  the analysis                   {seconds:8.2f} s    ({used:.2f} s of a processor) {made} items, at most {peak:.0f} MiB"
    )
    return 0


def wait_for(repo: Path) -> None:
    """Wait until the worker that the hook left has ended, at most a minute: the folder is removed next."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        seen = subprocess.run(["pgrep", "-f", f"worker .*{repo}"], capture_output=True, text=True, check=False)
        if not seen.stdout.strip():
            return
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
