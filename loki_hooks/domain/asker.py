"""Who asks: the user, or an agent's session. Some decisions are the user's alone (README, "What a session may not do")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import takewhile

from loki_hooks.domain.streams.record import ProcessId
from loki_hooks.domain.work import Work


@dataclass(frozen=True)
class Person:
    """Nothing shows that a session asks."""


@dataclass(frozen=True)
class SessionAsks:
    """An agent, a set-up or a gate of the stream asks ('': of some stream)."""

    stream: str


Asker = Person | SessionAsks


@dataclass(frozen=True)
class Kin:
    """The caller, or one of those above it. ``stream``: what its environment was made for, in this repository.

    ``worker``: what it does as a worker of ours; ``ours``: a pass started it for itself.
    """

    process: ProcessId
    stream: str = ""
    worker: Work | None = None
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
    start it, nor is what it started for itself (a tmux server is the user's from then on); what it let the repository run
    (a gate, a hook of git's) is nobody's word.
    """
    chain = caller.chain
    if chain and chain[0].worker:
        marked = next((kin.stream for kin in chain if kin.stream), caller.said)
        return SessionAsks(marked) if marked else Person()
    proved = next((sessions[kin.process] for kin in chain if kin.process in sessions and not kin.worker), "")
    near = tuple(takewhile(lambda kin: not (kin.worker or kin.ours), chain))
    above = chain[len(near) :][:1]
    if not proved and above and above[0].worker is not None:
        return SessionAsks(sessions.get(above[0].process, above[0].worker.stream))  # '' where it is none in particular
    marked = next((kin.stream for kin in near if kin.stream), caller.said)
    if proved or marked:
        return SessionAsks(proved or marked)
    if not caller.whole and not above:
        return SessionAsks("")
    return SessionAsks(caller.inside) if caller.inside else Person()


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
    return isinstance(asker, SessionAsks) and not (deed in OTHERS and asker.stream != "" and asker.stream == stream)
