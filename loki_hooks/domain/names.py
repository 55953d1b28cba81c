"""Names: what a stream may be called, and how names become ids, branches, paths and signal names.

Names are validated once, here, at the edge. What comes out is safe as a path component, as a part of a
git ref (git-check-ref-format(1)) and as an argument.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from loki_hooks.errors import BadInputError

MAX_NAME = 64
_ROOM = 5
"""Characters that a name leaves for its number, where another one has it."""
STANDARD_KINDS = ("feature", "testing", "qa", "docs", "blog")
DEFAULT_BRANCHES: Mapping[str, str] = {
    "feature": "feature/{name}",
    "testing": "parallel-testing",
    "qa": "parallel-qa",
    "docs": "parallel-docs",
    "blog": "parallel-blog",
}
PLACEHOLDERS = ("project", "stream", "kind", "name", "task_id", "slug", "agent", "user", "date")

_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_RULE = (
    f"a name has 1 to {MAX_NAME} of the characters A-Z a-z 0-9 . _ - (and / between parts) "
    "and begins with a letter or digit"
)


def shown(text: str, limit: int = 80) -> str:
    """Return ``text`` quoted for a message: control characters escaped, cut at ``limit`` characters."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return "'" + "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in cut) + "'"


def validate_name(name: str) -> str:
    """Return ``name`` if a stream may be called so, else raise ``BadInputError``.

    Every part between slashes must be a valid component of a git ref and of a path on every system.
    """
    if len(name) > MAX_NAME:
        raise BadInputError(f"the name {shown(name, 40)} is too long ({len(name)} characters)", _RULE)
    for part in name.split("/"):
        if not _SEGMENT.fullmatch(part) or ".." in part or part.endswith((".", ".lock")):
            raise BadInputError(f"{shown(name)} is not a name that a stream can have", _RULE)
    return name


def is_name(text: str) -> bool:
    """Return whether ``validate_name`` accepts ``text``."""
    try:
        validate_name(text)
    except BadInputError:
        return False
    return True


def stream_id(kind: str, name: str) -> str:
    """Return the stream's id: kind and name; a kind's own standing stream is just the kind."""
    return kind if name == kind else f"{kind}-{name.replace('/', '-')}"


def flat(name: str) -> str:
    """Return ``name`` as a file name component (``/`` replaced)."""
    return name.replace("/", "-")


def slug(text: str, limit: int = 40) -> str:
    """Return ``text`` as a short lower-case path component made of letters, digits and dashes (may be empty)."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:limit].strip("-")


def name_of_branch(branch: str) -> str:
    """Return what a stream on ``branch`` is called where no template says it: ``/``, and what no name has, as ``-``."""
    text = re.sub(r"\.{2,}", ".", re.sub(r"[^A-Za-z0-9._-]+", "-", branch)).lstrip("._-")[: MAX_NAME - _ROOM]
    while text.endswith((".", ".lock")):
        text = text.removesuffix(".").removesuffix(".lock")
    return text or "worktree"


def free_name(name: str, is_free: Callable[[str], bool]) -> str:
    """Return ``name``, or where it is taken the first of ``name-2``, ``name-3`` … that is free."""
    numbered = (f"{name[: MAX_NAME - _ROOM]}-{number}" for number in itertools.count(2))
    return next(filter(is_free, itertools.chain((name,), numbered)))


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word most like ``word``, or None when none is near."""
    import difflib  # a push waits for this module

    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return found[0] if found else None


def check_template(template: str) -> str:
    """Return ``template`` if all its placeholders are known ones, else raise ``BadInputError``."""
    for word in _PLACEHOLDER.findall(template):
        if word not in PLACEHOLDERS:
            near = nearest(word, PLACEHOLDERS)
            meant = f"did you mean {{{near}}}? " if near else ""
            known = " ".join(f"{{{p}}}" for p in PLACEHOLDERS)
            raise BadInputError(f"unknown placeholder {{{word}}} in {shown(template)}", f"{meant}known are {known}")
    return template


def fill(template: str, values: Mapping[str, str]) -> str:
    """Return ``template`` with each ``{placeholder}`` replaced by its value, in one pass, nothing evaluated."""
    return _PLACEHOLDER.sub(lambda m: values.get(m.group(1), m.group(0)), template)


@dataclass(frozen=True)
class BranchIdentity:
    """What a branch name says under the templates: which kind of stream, and its name."""

    kind: str
    name: str

    @property
    def stream(self) -> str:
        return stream_id(self.kind, self.name)


def identify_branch(branch: str, templates: Mapping[str, str], fixed: Mapping[str, str]) -> BranchIdentity | None:
    """Return what ``branch`` is under ``templates`` (kind → template), or None when it fits none of them.

    ``fixed`` gives values that are the same for every stream of the repository (project, user); other
    placeholders match any one path component. Only names that ``validate_name`` accepts are recognised.
    """
    for kind, template in templates.items():
        pattern = ""
        end = 0
        for found in _PLACEHOLDER.finditer(template):
            pattern += re.escape(template[end : found.start()])
            word = found.group(1)
            if word == "name":
                pattern += "(?P<name>.+)" if "(?P<name>" not in pattern else "(?P=name)"
            elif word == "kind":
                pattern += re.escape(kind)
            elif word in fixed:
                pattern += re.escape(fixed[word])
            else:
                pattern += "[^/]+"
            end = found.end()
        match = re.fullmatch(pattern + re.escape(template[end:]), branch)
        if match is None:
            continue
        name = match.groupdict().get("name") or kind
        if is_name(name):
            return BranchIdentity(kind, name)
    return None
