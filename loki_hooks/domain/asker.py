"""Who asks: the user, or an agent's session. Some decisions are the user's alone (README, "What a session may not do")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import takewhile

from loki_hooks.domain.streams import ProcessId

COMMANDS = frozenset({"session", "gate", "setup"})
"""The workers of ours below which the repository's commands run."""


@dataclass(frozen=True)
class Person:
    """Nothing shows that a session asks."""


@dataclass(frozen=True)
class Session:
    """An agent, a set-up or a gate of the stream asks ('': of some stream)."""

    stream: str


Asker = Person | Session


@dataclass(frozen=True)
class Kin:
    """The caller, or one of those above it. ``stream``: what its environment was made for, in this repository.

    ``worker``: what it does as a worker of ours, its argument vector from the kind on; ``ours``: a pass started it for itself.
    """

    process: ProcessId
    stream: str = ""
    worker: tuple[str, ...] = ()
    ours: bool = False


@dataclass(frozen=True)
class Caller:
    """What is known of the calling process. ``chain``: itself, then those above it; ``whole``: up to the first of all.

    ``said`` is its own LOKI_STREAM. ``inside`` is the stream of the living session in whose worktree it works without a
    terminal other than that session's.
    """

    chain: tuple[Kin, ...]
    whole: bool = True
    said: str = ""
    inside: str = ""


def who(caller: Caller, sessions: Mapping[ProcessId, str]) -> Asker:
    """Return who asks. ``sessions``: the stream of each recorded runner and agent.

    What the kernel proves comes first: a session can say in its environment that it is another one. A process whose parent
    ended is its runner's child (`ancestry.adopt_orphans`). A worker of ours is not part of the session that happened to
    start it, nor is what it starts for itself.
    """
    working = bool(caller.chain) and bool(caller.chain[0].worker)
    near = caller.chain if working else tuple(takewhile(lambda kin: not (kin.worker or kin.ours), caller.chain))
    if not working:
        for kin in caller.chain[: len(near) + 1]:
            if kin.process in sessions:
                return Session(sessions[kin.process])
            if kin.worker and kin.worker[0] in COMMANDS:
                return Session(kin.worker[1] if kin.worker[0] in {"session", "setup"} and kin.worker[1:] else "")
    marked = next((kin.stream for kin in near if kin.stream), caller.said)
    if marked:
        return Session(marked)
    if working:
        return Person()
    if not caller.whole and near == caller.chain:
        return Session("")
    return Session(caller.inside) if caller.inside else Person()


class Deed(Enum):
    """What a session may not do: at all, or (``OTHERS``) to a stream that is not its own."""

    TRUST = "trust commands in its user's name"
    UNGATED = "land what no gate passed"
    TURN_OFF = "turn loki-hooks off"
    CLEAN_UP = "clean up"
    STOP = "stop another stream"
    FINISH = "end another stream"


OTHERS = frozenset({Deed.STOP, Deed.FINISH})


def refused(asker: Asker, deed: Deed, stream: str = "") -> bool:
    """Return whether the deed, to ``stream``, is not the asker's to do."""
    return isinstance(asker, Session) and not (deed in OTHERS and asker.stream != "" and asker.stream == stream)
