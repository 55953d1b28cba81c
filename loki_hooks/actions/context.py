"""What every action works with: the site, git in its root, the configuration, the state; and how things are named."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from loki_hooks.domain.names import fill, flat, slug, validate_name
from loki_hooks.domain.streams.stages import stage_now
from loki_hooks.errors import BadInputError
from loki_hooks.system.config import load as configuration
from loki_hooks.system.git.git import Git, require_branch_name
from loki_hooks.system.site import Site

if TYPE_CHECKING:  # a push whose result is known needs none of them, and git waits
    from loki_hooks.domain.streams.record import StreamRecord
    from loki_hooks.system.store.state import StateStore


@dataclass(frozen=True)
class Context:
    """One repository, as an action sees it. The configuration is read once, when first asked for."""

    site: Site

    @cached_property
    def git(self) -> Git:
        return Git(self.site.root)

    @cached_property
    def store(self) -> StateStore:
        from loki_hooks.system.store.state import StateStore

        return StateStore(self.site)

    @cached_property
    def config(self) -> configuration.Effective:
        return configuration.load(self.site, self.git)

    @property
    def integration(self) -> str:
        return self.config.integration

    @property
    def integration_ref(self) -> str:
        return f"refs/heads/{self.integration}"

    @cached_property
    def user(self) -> str:
        """The user's name as a path component: git's, else the system's."""
        return slug(self.git.config("user.name") or getpass.getuser()) or "user"

    def values(
        self, *, kind: str, name: str, stream: str, task_id: str = "", task: str = "", agent: str = ""
    ) -> dict[str, str]:
        """Return what each placeholder of a template means for this stream."""
        from loki_hooks.system.clock import now

        return {
            "project": self.site.project,
            "stream": stream,
            "kind": kind,
            "name": flat(name),
            "task_id": task_id or flat(name),
            "slug": slug(task) or flat(name),
            "agent": agent or self.config.working.session.agent,
            "user": self.user,
            "date": now()[:10],
        }

    def branch_for(self, kind: str, values: Mapping[str, str], name: str) -> str:
        """Return the branch of a new stream. Raises ``BadInputError`` for an unknown kind."""
        template = self.config.working.branches.get(kind)
        if template is None:
            known = ", ".join(sorted(self.config.working.branches))
            raise BadInputError(f"there is no kind {kind!r}", f"known are {known}; others by a template in [branches]")
        return require_branch_name(self.git, fill(template, {**values, "name": name}))

    def path_for(self, values: Mapping[str, str]) -> Path:
        """Return where the worktree of a new stream goes, absolute.

        Raises ``BadInputError`` for a place that holds the main worktree or is inside git's own folder.
        """
        path = Path(self.site.root, fill(self.config.working.worktrees.path, values)).resolve()
        if (
            path == self.site.root
            or path in self.site.root.parents
            or (self.site.main is not None and path.is_relative_to(self.site.common))
        ):
            raise BadInputError(f"{path} is no place for a worktree", "change worktrees.path in loki-hooks.toml")
        return path

    @property
    def fixed_values(self) -> dict[str, str]:
        return {"project": self.site.project, "user": self.user}

    def values_of(self, record: StreamRecord) -> dict[str, str]:
        return self.values(
            kind=record.kind,
            name=record.name,
            stream=record.stream,
            task_id=record.task.id,
            task=record.task.title,
            agent=record.agent,
        )

    def stages_of(self, record: StreamRecord) -> tuple[str, ...]:
        """Return the stages of the stream's task: its own, else its kind's."""
        return record.task.stages or self.config.working.session.launch(record.kind).stages

    def stage_of(self, record: StreamRecord) -> str:
        """Return the stage that the stream's session is in, or the next one shall be in."""
        return stage_now(self.stages_of(record), record.stage)

    def worktree_of_gate(self, worktree: str, number: int = 1) -> Path:
        """Return the path of a gate worktree; the second and later ones of a name carry their number."""
        name = validate_name(worktree if number == 1 else f"{worktree}-{number}")
        return self.path_for(self.values(kind="testing", name=name, stream=name))

    def require_stream(self, word: str) -> StreamRecord:
        """Return the stream that a person means. Raises ``BadInputError`` with the nearest known."""
        from loki_hooks.domain.names import nearest, shown

        state = self.store.read()
        found = state.find(word)
        if found is None:
            near = nearest(word, {*state.streams, *(r.name for r in state.streams.values())})
            raise BadInputError(
                f"there is no stream {shown(word)}",
                f"did you mean {near}?" if near else "`loki-hooks status` lists the streams",
            )
        return found


def body_of(record: StreamRecord, *, commit: str = "", tree: str = "") -> dict[str, object]:
    """Return what a signal about this stream says."""
    return {
        "stream": record.stream,
        "branch": record.branch,
        "worktree": record.path,
        "commit": commit or record.tip,
        "tree": tree,
    }


def body_of_main(context: Context, *, commit: str, tree: str = "") -> dict[str, object]:
    """Return what a signal about the integration branch says."""
    return {
        "stream": "main",
        "branch": context.integration,
        "worktree": str(context.site.root),
        "commit": commit,
        "tree": tree,
    }
