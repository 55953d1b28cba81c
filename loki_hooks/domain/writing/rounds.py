"""When a stream that writes what landed (``docs``, ``blog``) begins a round, and when it rests."""

from __future__ import annotations

from dataclasses import dataclass

from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.status import Status


@dataclass(frozen=True)
class Writer:
    """``auto``: it begins by itself. ``record`` None: there was no round yet.

    ``waiting``: so many items nobody has taken, but those that writers brought.
    """

    kind: str
    auto: bool
    waiting: int
    record: StreamRecord | None = None

    @property
    def free(self) -> bool:
        """Whether no round is under way, nor waits for a person."""
        return self.record is None or self.record.standing or self.record.status is Status.ARCHIVED

    @property
    def begins(self) -> bool:
        return self.auto and self.free and self.waiting > 0

    @property
    def resting(self) -> Status | None:
        """How it rests from now on, None when it does already, or is at work, or was never there."""
        if self.record is None or not self.free or self.begins:
            return None
        wanted = Status.WATCHING if self.auto else Status.IDLE
        return wanted if self.record.status is not wanted else None
