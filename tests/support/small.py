"""A small project with a quick gate, for what is about git and hooks and not about anybody's tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from support.look import quiet

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Repo
    from e2e.conftest import Hooks

CONFIG = """
[environment]
setup = false
[gates.unit]
command = '''
{command}
'''
"""
CHECK = 'echo run >> "{ran}"; if grep -n BUG *.py; then echo "there is a BUG"; exit 1; fi'
"""A gate that fails on code with the word BUG in it, and keeps count of its runs."""
APP = "def greet():\n    return 'hello'\n\n\n# between\n\n\ndef leave():\n    return 'bye'\n"


@dataclass(frozen=True)
class Small:
    """``ran`` has a line for each run of the gate."""

    repo: Repo
    ran: Path

    @property
    def runs(self) -> int:
        return len(self.ran.read_text().splitlines()) if self.ran.exists() else 0

    @property
    def main(self) -> str:
        return self.repo.git("rev-parse", "refs/heads/main")

    @property
    def remote(self) -> dict[str, str]:
        """The refs of the remote, short names."""
        listed = self.repo.git("ls-remote", "origin").splitlines()
        return {name.removeprefix("refs/heads/"): oid for oid, name in map(str.split, listed) if name != "HEAD"}

    def beside(self, name: str) -> Path:
        return self.repo.path.parent / name


def begin(
    repo: Repo, hooks: Hooks | None, way: str, ran: Path, *, command: str = CHECK, more: dict[str, str] | None = None
) -> Small:
    """Give ``repo`` a gate, a remote and hooks, and commit all that."""
    repo.write("loki-hooks.toml", CONFIG.format(command=command.format(ran=ran)))
    repo.write("app.py", APP)
    repo.write(".gitignore", ".env\n")
    for name, text in (more or {}).items():
        repo.write(name, text)
    repo.git("init", "-q", "--bare", "../origin.git")
    repo.git("remote", "add", "origin", "../origin.git")
    if hooks is not None:
        hooks.install(repo, way)
    repo.commit("Coordinate the sessions")
    quiet(repo)
    return Small(repo, ran)
