"""The blog queue: what landed or was tagged that is worth telling, and what was published since.

Tags fire no hook, so they are compared at each pass with those that were seen before, which ``refs/loki/tags`` keeps: a blob,
``<tag> <object>`` a line. Those that are there when a repository's blog is first seen are history.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from loki_hooks.actions.context import Context
from loki_hooks.domain.refs import TAGS, TAGS_REF
from loki_hooks.domain.streams.signals import SignalName
from loki_hooks.domain.writing.blog import (
    Story,
    blog_folder,
    published,
    stories_of,
    stories_of_tag,
    version_before,
    version_of,
)
from loki_hooks.domain.writing.documents import is_document
from loki_hooks.domain.writing.history import landings
from loki_hooks.domain.writing.queue import Edit, Noted, QueueEntry
from loki_hooks.system.clock import now
from loki_hooks.system.git.blobs import commits_between, read_texts, renames_between
from loki_hooks.system.git.git import split_z
from loki_hooks.system.json import read_json
from loki_hooks.system.store import queues, signals

QUEUE = "blog"
SIGNAL = SignalName("BLOG_POST_QUEUED")


def folder_of(context: Context, revision: str) -> str:
    """Return where the repository's posts are, '' where it has no blog."""
    configured = context.config.in_force.blog.path or context.config.working.blog.path
    if configured:
        return configured.strip("/")
    listed = context.git.maybe("ls-tree", "-r", "-z", "--name-only", revision, "content/blog", "_posts", "blog")
    return blog_folder(split_z(listed or ""), "")


def follow_blog(context: Context, old: str, new: str) -> Noted:
    """Queue what the range is worth telling of; close what it published."""
    git = context.git
    folder = folder_of(context, new)
    if not folder:
        return Noted()
    commits = commits_between(git, old, new)
    patterns = context.config.in_force.docs.paths

    def is_writing(path: str) -> bool:
        return path.startswith(f"{folder}/") or is_document(path, patterns)

    made = sum(_put(context, story, folder) for story in stories_of(landings(commits, new), is_writing))
    posts = {
        path: blobs.after
        for before, path, blobs in renames_between(git, old, new)
        if path.startswith(f"{folder}/") and blobs.after and (path != before or blobs.before != blobs.after)
    }
    texts = read_texts(git, posts.values())
    named = {ident for commit in commits for ident in commit.items}
    by = {"commit": new}

    def decide(known: list[QueueEntry]) -> list[Edit]:
        live = {entry.ident: entry for entry in known if entry.live and "closed_by" not in entry.value}
        told = published({i: e.value for i, e in live.items()}, {p: texts.get(oid, "") for p, oid in posts.items()})
        told |= dict.fromkeys(named & live.keys(), "")
        return [
            closed(live[ident], {**by, "how": f"published{f' in {path}' if path else ''}"})
            for ident, path in told.items()
        ]

    return Noted(made, len(queues.revise(context.site, QUEUE, decide)) if posts or named else 0)


def closed(entry: QueueEntry, by: Mapping[str, Any]) -> Edit:
    """Return the edit that closes an item; where a worker is at it, it learns that and closes with the worker."""
    return Edit({**entry.value, "closed_by": dict(by)}, ident=entry.ident, closed=not entry.held)


def _put(context: Context, story: Story, folder: str) -> bool:
    record = context.store.read().streams.get(story.stream)
    tasks = [record.task.text.strip()] if record is not None and record.task.text.strip() else []
    return queues.put(context.site, QUEUE, story.to_json(folder, tasks), key=story.key)[1]


# At each pass ----------------------------------------------------------------------------------------------------------


def look_for_stories(context: Context) -> None:
    """Queue what new tags are worth telling of, and what somebody said with BLOG_POST_QUEUED."""
    refs = context.git.refs(TAGS, TAGS_REF, context.integration_ref)
    tip = refs.pop(context.integration_ref, None)
    if tip is None:
        return
    _told(context, tip)
    before = refs.pop(TAGS_REF, None)
    tags = {ref.removeprefix(TAGS): oid for ref, oid in refs.items()}
    known = _seen(context, before)
    if tags == known and before is not None:
        return
    folder = folder_of(context, tip)
    if not folder:
        return
    if before is not None:
        versions = {version_of(tag) for tag in known} | {None}
        for tag in sorted(tags.keys() - known.keys()):
            if version_of(tag) not in versions:  # v1.0.0 and 1.0.0 are one release
                versions.add(version_of(tag))
                _tagged(context, tag, tags, tip, folder)
    blob = context.git.write_blob("".join(f"{tag} {oid}\n" for tag, oid in sorted(tags.items())).encode())
    context.git.update_ref(TAGS_REF, blob, before or "", "tags seen")


def _seen(context: Context, blob: str | None) -> dict[str, str]:
    text = context.git.maybe("cat-file", "blob", blob) if blob else ""
    return {tag: oid for tag, _, oid in (line.partition(" ") for line in (text or "").splitlines())}


def _tagged(context: Context, tag: str, tags: Iterable[str], tip: str, folder: str) -> None:
    """A tag counts when what it names is in the integration branch: another branch's release is told there."""
    git = context.git
    commit = git.commit_id(f"{TAGS}{tag}")
    if commit is None or not git.is_ancestor(commit, tip):
        return
    last = version_before(tag, [name for name in tags if name != tag])
    told = frozenset(
        str(commit.get("commit"))
        for entry in queues.everything(context.site, QUEUE)
        for commit in entry.value.get("commits", [])
        if isinstance(commit, dict)
    )
    since = f"{TAGS}{last}" if last else ""
    for story in stories_of_tag(tag, commits_between(git, since, commit), told):
        _put(context, story, folder)


def _told(context: Context, tip: str) -> None:
    """A signal that says nothing of items is somebody's word, not ours: it becomes an item."""
    path = context.site.loki / "signals" / SIGNAL.file
    if not path.is_file() or path.is_symlink():
        return
    value = read_json(path)
    body = value if isinstance(value, dict) else {}
    if "items" in body:
        return
    tell(context, tip, str(body.get("about") or "a milestone"), str(body.get("timestamp") or now()))
    signals.consume(path)


def tell(context: Context, tip: str, about: str, said: str) -> None:
    """Queue what git cannot see, in somebody's words of the time ``said``; what waits already does so once."""
    if all(item.get("symbol") != about for item in queues.listed(context.site, QUEUE)):
        item = Story("milestone", about, ()).to_json(folder_of(context, tip), [])
        queues.put(context.site, QUEUE, {**item, "commit": tip}, key=f"told\0{about}\0{said}")
