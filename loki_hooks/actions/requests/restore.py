"""Bring back what clean-up or `finish` took: branch, worktree, uncommitted work, archived and moved files.

What there is comes from ``refs/loki/trash/<stream>/<time>``, with the archive of the same name where it is still there
(`git clean -xdf` takes archives, never refs). A restored stream is ``kept``: clean-up does not take it again. A
stream that only lost its worktree gets it back, from its safe snapshot where there is one (``safe.py``), and keeps its
status.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from loki_hooks.actions.consent import untrusted_reason
from loki_hooks.actions.context import Context
from loki_hooks.actions.landing.reverted import why_not_back
from loki_hooks.actions.reconcile.run import reconcile
from loki_hooks.actions.removal.archive import LOKI_IN_ARCHIVE
from loki_hooks.actions.removal.trash import Trashed, lost_entry, to_restore, trashed
from loki_hooks.actions.requests.stop import stop_stream
from loki_hooks.actions.safe.pins import pin_past
from loki_hooks.actions.safe.put_back import put_back
from loki_hooks.actions.safe.salvage import bring_back, trailers
from loki_hooks.actions.safe.snapshot import snapshot_of
from loki_hooks.actions.streams.worktree import copy_environment, furnish
from loki_hooks.domain.names import nearest, shown
from loki_hooks.domain.refs import PAST, base_ref
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.stages import PLAN_FILE
from loki_hooks.domain.streams.status import IN_SESSION, LIVING, Status
from loki_hooks.errors import BadInputError, LokiError, RefusedError
from loki_hooks.system.clock import now, stamp
from loki_hooks.system.files import read_plain, write_atomic
from loki_hooks.system.git.git import Git, list_worktrees, require_branch_name
from loki_hooks.system.git.operations import git_dir_of
from loki_hooks.system.git.status import is_clean
from loki_hooks.system.git_folder import pointer
from loki_hooks.system.locks import PASS_PATIENCE, PassLock, hold_pass
from loki_hooks.system.processes.alive import is_alive
from loki_hooks.system.site import LOKI
from loki_hooks.system.store import events
from loki_hooks.system.trees import copy_tree
from loki_hooks.system.worktrees.registrations import forget_missing, is_here, reconnect, registration_of
from loki_hooks.system.worktrees.registry import add


@dataclass(frozen=True)
class Restored:
    """``notes`` say what could not be put back where it was."""

    record: StreamRecord
    notes: tuple[str, ...] = ()


def restore(context: Context, word: str) -> Restored:
    """Bring back the newest that ``word`` (a name, an id, a branch, or ``id/time``) means. Raises ``LokiError``."""
    living = context.store.read().find(word)
    if living is not None and living.status is not Status.ARCHIVED:
        living = _without_session(context, living)
    with hold_pass(context.site) as lock:
        return _restore(context, lock, word, living)


def _restore(context: Context, lock: PassLock, word: str, living: StreamRecord | None) -> Restored:
    if living is not None and living.status is not Status.ARCHIVED:
        return _give_worktree(context, lock, living)
    everything = to_restore(context)
    wanted = next((entry for entry in everything if word in entry.words), None)
    if wanted is not None:
        return _bring_back(context, lock, wanted) if wanted.safe is None else _from_snapshot(context, lock, wanted)
    near = nearest(word, [t.record.name for t in everything])
    raise BadInputError(
        f"there is nothing to restore that is called {shown(word)}",
        f"did you mean {near}?" if near else "`loki-hooks restore --list` shows what there is",
    )


def _without_session(context: Context, record: StreamRecord) -> StreamRecord:
    """Return the stream as it is once no session is recorded that has no worktree to work in. Raises ``LokiError``."""
    if record.status not in IN_SESSION or not record.path or (Path(record.path) / ".git").exists():
        return record
    if is_alive(record.session):
        stop_stream(context, record.stream)
    else:
        reconcile(context.site, wait=PASS_PATIENCE)
    return context.store.read().streams.get(record.stream, record)


def _refilled(context: Context, record: StreamRecord, path: Path) -> Restored | None:
    """Put back what giving the stream up had taken out of its worktree when it was killed; None where nothing was.

    The worktree still stands, clean at the very commit, and the stream was never retired.
    """
    tip = context.git.commit_id(f"refs/heads/{record.branch}")
    entries = (t for t in trashed(context) if t.record.stream == record.stream and t.work and t.tip == tip)
    entry = next(entries, None)
    if entry is None or record.status is Status.KEPT or not is_clean(Git(path, of=context.site.common)):
        return None
    left = bring_back(path, entry.work, entry.index, entry.files)
    evidence = {"path": str(path), "branch": record.branch, "trash": entry.ref}
    events.record(context.site, "restored", record.stream, commit=entry.tip, evidence=evidence)
    return Restored(record, tuple(f"{name} stays in {entry.files}: something is in its place" for name in left))


def _give_worktree(context: Context, lock: PassLock, record: StreamRecord) -> Restored:
    """Give a stream that lost its worktree, or gave it back, one on its branch."""
    lock.require(context.site)
    path = Path(record.path) if record.path else context.path_for(context.values_of(record))
    if record.resting or record.kind in {"main", "testing"} or record.status in IN_SESSION:
        raise RefusedError(f"{record.name} is {record.status}: there is nothing to restore", "see `loki-hooks status`")
    if record.path and (path / ".git").exists():
        if (refilled := _refilled(context, record, path)) is not None:
            return refilled
        raise RefusedError(
            f"{record.name} is here, in {record.path} ({record.status})",
            "an earlier one of the name comes back once this one is finished",
        )
    safe = snapshot_of(context, record.stream) if record.path else None
    if safe is not None:
        return _from_snapshot(context, lock, lost_entry(context, safe, record))
    tip = context.git.commit_id(f"refs/heads/{record.branch}")
    if tip is None:
        raise RefusedError(
            f"the branch {record.branch} of {record.name} is gone",
            f"`loki-hooks finish {record.name} --abandon` takes it off the list; then restore it",
        )
    _refuse_clashes(context, record, path, tip)
    _forget(context, record, path)
    add(context.site, path, record.branch, tip, new_branch=False)
    record = replace(record, path=str(path), reason="")
    context.store.update(lambda s: s.with_stream(replace(s.streams[record.stream], path=str(path), reason="")))
    _furnish(context, record)
    events.record(context.site, "restored", record.stream, commit=tip, evidence={"path": str(path)})
    return Restored(record)


def _forget(context: Context, record: StreamRecord, path: Path, *, pinned: bool = False) -> None:
    """Put the registration of the stream's lost worktree aside, its commits pinned. Raises ``RefusedError``."""
    if registration_of(context.site, path) is None:
        return
    past = f"{PAST}{record.stream}/{stamp()}"
    pin_past(context, record, past)
    try:
        forget_missing(context.site, path, pinned=pinned)
    except RefusedError:
        context.git.run("update-ref", "-d", past)
        raise


def _from_snapshot(context: Context, lock: PassLock, entry: Trashed) -> Restored:
    """Bring a worktree back from its safe snapshot: its branch, and what was uncommitted as uncommitted.

    What exists is not written over: the branch moves forward at most, and the path must be free.
    """
    lock.require(context.site)
    record, safe = entry.record, entry.safe
    assert safe is not None
    path = Path(record.path) if record.path else context.path_for(context.values_of(record))
    if require_branch_name(context.git, record.branch) == context.integration:
        raise RefusedError(f"{record.branch} is the integration branch", "nothing was changed")
    _refuse_clashes(context, record, path, "")
    _forget(context, replace(record, path=str(path)), path, pinned=True)
    known = context.store.read().streams.get(record.stream)
    back = put_back(context, path, record.branch, safe, ours=known is not None)
    after = replace(known or record, path=str(path), branch=back.branch, reason="" if known else "restored")
    context.store.update(lambda s: s.with_stream(after))
    _furnish(context, after)
    events.record(
        context.site,
        "restored",
        record.stream,
        commit=back.commit,
        evidence={"path": str(path), "branch": back.branch, "safe": safe.commit, "of": safe.time},
    )
    return Restored(after, back.notes)


def _bring_back(context: Context, lock: PassLock, entry: Trashed) -> Restored:
    lock.require(context.site)
    old = entry.record
    path = Path(old.path) if old.path else context.path_for(context.values_of(old))
    existing = context.git.commit_id(f"refs/heads/{old.branch}")
    _refuse_clashes(context, old, path, entry.tip)
    forget_missing(context.site, path)
    add(context.site, path, old.branch, entry.tip, new_branch=existing is None)
    record = StreamRecord(
        old.kind,
        old.name,
        Status.KEPT,
        str(path),
        old.branch,
        base=old.base,
        origin=old.origin,
        task=old.task,
        agent=old.agent,
        priority=old.priority,
        created_at=old.created_at or now(),
        tip=entry.tip,
        explicit_base=old.explicit_base,
        reason="restored",
        extra=old.extra,
    )
    context.store.update(lambda s: s.with_stream(record))
    furnish(context, record)
    notes = [
        f"{name} stays in {entry.files}: something is in its place"
        for name in bring_back(path, entry.work, entry.index, entry.files)
    ]
    head = trailers(context.git, entry.work).get("Head") if entry.work else None
    if head:
        notes.append(f"its worktree was detached at {head}: `git -C {path} switch --detach {head}` goes there")
    reverted = why_not_back(context, record, entry.tip)
    notes += [reverted] if reverted else []
    _unpack(context, record, entry)
    _furnish(context, record)  # last: what the person had changed in a copied file is what comes back
    events.record(
        context.site,
        "restored",
        record.stream,
        commit=entry.tip,
        evidence={"path": str(path), "branch": record.branch, "trash": entry.ref},
    )
    return Restored(record, tuple(notes))


def _refuse_clashes(context: Context, record: StreamRecord, path: Path, tip: str) -> None:
    at = context.git.commit_id(f"refs/heads/{record.branch}")
    if at is not None and tip and at != tip:
        raise RefusedError(
            f"the branch {record.branch} exists, at another commit ({at[:12]})",
            f"rename it (`git branch -m {record.branch} NEW`), then restore again",
        )
    holder = next(
        (w for w in list_worktrees(context.git) if w.branch == record.branch and is_here(context.site, w.path)), None
    )
    if holder is not None:
        raise RefusedError(f"the branch {record.branch} is checked out in {holder.path}", "switch that worktree first")
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise RefusedError(f"{path} exists", "move it away, then restore again")
    for other in context.store.read().streams.values():
        if other.stream != record.stream and other.status in LIVING | {Status.KEPT} and other.path == str(path):
            raise RefusedError(f"{path} belongs to the stream {other.stream}", "finish that one first")


def _furnish(context: Context, record: StreamRecord) -> None:
    if record.base and context.git.commit_id(record.base):
        context.git.update_ref(base_ref(record.stream), record.base, None, "base")
    furnish(context, record)
    if not untrusted_reason(context):
        copy_environment(context, record)


def _unpack(context: Context, record: StreamRecord, entry: Trashed) -> None:
    """Put the archive's files back where they were; the archive itself stays until it expires."""
    if entry.archive is None:
        return
    logs = context.site.folder("logs")
    kept = entry.archive / LOKI_IN_ARCHIVE
    if kept.is_dir() and not kept.is_symlink():
        with suppress(OSError):  # it stays in the archive
            copy_tree(kept, Path(record.path) / LOKI)
    for source in sorted(entry.archive.iterdir()):
        data = read_plain(source)
        if source.name in {"CONTINUITY.md", PLAN_FILE} and data is not None:
            write_atomic(Path(record.path) / LOKI / source.name, data)
        elif source.name == "prompt.md" and data is not None:
            write_atomic(context.site.folder("state", "prompts") / f"{record.stream}.md", data)
        elif source.suffix == ".log" and not source.is_symlink() and not (logs / source.name).exists():
            shutil.copyfile(source, logs / source.name)


def reregister(context: Context, path: Path) -> Restored:
    """Make a folder that was a worktree of this repository one again, after its registration was lost.

    Its files are not touched: what differs from its branch shows as changes. Raises ``LokiError``.
    """
    pointer = (read_plain(path / ".git") or b"").decode("utf-8", "surrogateescape").removeprefix("gitdir: ").strip()
    admin = Path(pointer)
    if not pointer or admin.parent != context.site.common / "worktrees":
        raise BadInputError(f"{path} was no worktree of this repository", "name a stream, or such a folder")
    with hold_pass(context.site) as lock:
        if not admin.exists():
            return _register_again(context, lock, path)
        _reconnect(context, admin, path)
    reconcile(context.site, wait=PASS_PATIENCE)  # its stream follows it
    return Restored(StreamRecord("feature", path.name, Status.OPEN, str(path)), ("git knows where it is now",))


def _register_again(context: Context, lock: PassLock, path: Path) -> Restored:
    lock.require(context.site)
    branch = _branch_of(context, path)
    tip = context.git.commit_id(f"refs/heads/{branch}") if branch else context.git.commit_id(context.integration_ref)
    if tip is None:
        raise LokiError("there is no commit to register it at", "nothing was done")
    beside = path.with_name(f".{path.name}.loki-register")
    words = [str(beside), branch] if branch else ["--detach", str(beside), tip]
    context.git.out("worktree", "add", "--quiet", "--no-checkout", *words)
    (beside / ".git").replace(path / ".git")
    beside.rmdir()
    reconnect(git_dir_of(path), path)
    Git(path, of=context.site.common).out("reset", "--quiet", timeout=1800)
    events.record(context.site, "registered", detail=str(path), evidence={"branch": branch})
    return Restored(StreamRecord("feature", path.name, Status.OPEN, str(path), branch, tip=tip))


def _reconnect(context: Context, admin: Path, path: Path) -> None:
    """Tell git that a worktree was moved to ``path``. Raises ``RefusedError`` where its old place has it still."""
    old = pointer(admin / "gitdir")
    if old is not None and old.parent != path and is_here(context.site, old.parent):
        raise RefusedError(f"{path} is a copy of the worktree {old.parent}", "git knows that one")
    reconnect(admin, path)


def _branch_of(context: Context, path: Path) -> str:
    """Return the branch that a stream with this folder would have, '' when it is gone or checked out elsewhere."""
    taken = {w.branch for w in list_worktrees(context.git)}
    state = context.store.read()
    for record in state.streams.values():
        if record.path == str(path) and record.branch not in taken:
            return record.branch if context.git.commit_id(f"refs/heads/{record.branch}") else ""
    from loki_hooks.actions.streams.identity import identify

    for ref in context.git.refs("refs/heads/"):
        branch = ref.removeprefix("refs/heads/")
        identity = identify(context, branch)
        if identity is None or branch in taken:
            continue
        values = context.values(kind=identity.kind, name=identity.name, stream=identity.stream)
        if context.path_for(values) == path:
            return branch
    return ""
