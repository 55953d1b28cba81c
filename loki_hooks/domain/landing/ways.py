"""The ways to land (`merge.how`): one member each, with all that the train asks of it."""

from __future__ import annotations

from enum import StrEnum


class Way(StrEnum):
    """How what passed comes into the integration branch."""

    NO_FF = "no-ff"
    SQUASH = "squash"
    PR = "pr"

    @property
    def squashes(self) -> bool:
        """Whether it lands as one commit without the branch's own: that commit names the branch's tip in a trailer."""
        return self is Way.SQUASH

    @property
    def proposes(self) -> bool:
        """Whether it is pushed and proposed to others, who merge it."""
        return self is Way.PR

    @property
    def lands_by_train(self) -> bool:
        """Whether the train takes it in."""
        return not self.proposes


def proposes(way: object) -> bool:
    """Return whether ``way``, as an event has it, is one that proposes; what is no way does not."""
    return any(way == known and known.proposes for known in Way)
