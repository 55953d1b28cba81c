"""What a push updates, as git tells pre-push (githooks(5)) and as pre-commit and prek pass it on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from loki_hooks.errors import BadInputError

HEADS = "refs/heads/"


@dataclass(frozen=True)
class RefUpdate:
    """One ref of a push. Object ids are full, null (all zeros) for "there is none".

    ``local_ref`` is what was typed or ``(delete)``; ``local_oid`` is '' where the caller did not say.
    """

    local_ref: str
    local_oid: str
    remote_ref: str
    remote_oid: str

    @property
    def deletes(self) -> bool:
        return self.local_oid != "" and not self.local_oid.strip("0")

    @property
    def branch(self) -> str:
        """The short name of the branch that is updated on the remote, '' for a tag or any other ref."""
        return self.remote_ref.removeprefix(HEADS) if self.remote_ref.startswith(HEADS) else ""


def parse_push(text: str) -> tuple[RefUpdate, ...]:
    """Return the updates in git's lines ``<local ref> <local oid> <remote ref> <remote oid>``.

    The local ref is as it was typed, so blanks in it are possible. Raises ``BadInputError`` for any other line: a
    gate that does not understand must not let through.
    """
    updates = []
    for line in text.split("\n"):
        if not line.strip():
            continue
        fields = line.rsplit(" ", 3)
        if len(fields) != 4 or not all(fields) or not (_is_oid(fields[1]) and _is_oid(fields[3])):
            raise BadInputError(f"git said {line[:200]!r} to pre-push, which cannot be understood")
        updates.append(RefUpdate(*fields))
    return tuple(updates)


def _is_oid(text: str) -> bool:
    return len(text) in {40, 64} and set(text) <= set("0123456789abcdef")


def framework_push(env: Mapping[str, str]) -> tuple[RefUpdate, ...]:
    """Return the one update (the frameworks tell only the first) in ``PRE_COMMIT_*``; none when they tell of none.

    ``PRE_COMMIT_TO_REF`` is absent when a whole history is new to the remote: then ``local_oid`` is '' and
    ``local_ref`` names the commit. ``PRE_COMMIT_FROM_REF`` may be an ancestor rather than what the remote has.
    """
    local, remote = env.get("PRE_COMMIT_LOCAL_BRANCH", ""), env.get("PRE_COMMIT_REMOTE_BRANCH", "")
    if not remote:
        return ()
    oid, base = env.get("PRE_COMMIT_TO_REF", ""), env.get("PRE_COMMIT_FROM_REF", "")
    return (RefUpdate(local, oid if _is_oid(oid) else "", remote, base if _is_oid(base) else "0" * 40),)
