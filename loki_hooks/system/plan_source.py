"""Get the text of a plan: from a file, a folder that has one, standard input, or GitHub's issues through ``gh``."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loki_hooks.domain.names import shown
from loki_hooks.errors import BadInputError, LokiError
from loki_hooks.system.files import read_plain
from loki_hooks.system.processes.run import run, scrubbed

MAX_BYTES = 8 * 1024 * 1024
IN_A_FOLDER = (
    *("plan.toml", "plan.yaml", "plan.yml", "plan.json", "tasks.md", "tasks.json"),
    *(".taskmaster/tasks/tasks.json", "PLAN.md", "TASKS.md", "TODO.md", "PRD.md"),
)
"""Where a folder's plan is looked for."""
_ISSUES = re.compile(r"gh:(?:(?P<repo>[\w.-]+/[\w.-]+)[:#]?)?(?P<which>.*)", re.DOTALL)
_NUMBERS = re.compile(r"#?\d+(?:,#?\d+)*")
_FIELDS = "number,title,body,state,url"
_FORMS = "gh:12,13, gh:label=NAME, gh:milestone=NAME, gh:OWNER/REPO:…"
_LIMIT = 1000
_PATIENCE = 60.0


@dataclass(frozen=True)
class PlanText:
    """``name`` tells the format; ``key`` tells this source from every other; ``tag`` is what followed ``#``."""

    name: str
    text: str
    key: str
    tag: str = ""


def get_plan(source: str, root: Path) -> PlanText:
    """Return the text of the plan. ``root`` is the repository's. Raises ``LokiError`` for what is none."""
    if source == "-":
        return PlanText("-", _decoded(sys.stdin.buffer.read(MAX_BYTES + 1), "standard input"), "-")
    if source.startswith("gh:"):
        return _from_github(source, root)
    path, tag = Path(source), ""
    if "\0" in source:
        raise BadInputError(f"{shown(source)} is no path", "a plan is a file, a folder, gh:… or -")
    if not os.path.lexists(path) and "#" in source:
        head, _, tag = source.rpartition("#")
        path = Path(head)
    if path.is_dir():
        path = _in_folder(path)
    if not path.is_file():
        what = "is no plain file" if os.path.lexists(path) else "is not there"
        raise BadInputError(f"{shown(str(path))} {what}", "a plan is a file, a folder, gh:… or -")
    try:
        raw = read_plain(path.resolve(), limit=MAX_BYTES)
    except OSError as error:
        raise BadInputError(f"{shown(str(path))} cannot be read: {error.strerror}", "is it yours?") from error
    if raw is None:
        if path.stat().st_size > MAX_BYTES:
            raise _too_large(shown(str(path)))
        raise BadInputError(f"{shown(str(path))} cannot be read", "is it readable?")
    text = _decoded(raw, shown(str(path)))
    whole = path.resolve()
    key = str(whole.relative_to(root)) if whole.is_relative_to(root) else str(whole)
    return PlanText(str(path), text, f"{key}#{tag}" if tag else key, tag)


def _too_large(name: str) -> BadInputError:
    return BadInputError(
        f"{name} is larger than {MAX_BYTES // 1024 // 1024} MB", "a plan is a list that people can read"
    )


def _decoded(raw: bytes, name: str) -> str:
    if len(raw) > MAX_BYTES:
        raise _too_large(name)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise BadInputError(f"{name} is not UTF-8 text (line {line})", "save it as UTF-8") from error
    if "\0" in text:
        raise BadInputError(f"{name} is binary", "a plan is text")
    return text


def _in_folder(folder: Path) -> Path:
    found = [folder / name for name in IN_A_FOLDER if (folder / name).is_file()]
    same = {path.resolve() for path in found}
    if not found:
        raise BadInputError(f"there is no plan in {shown(str(folder))}", f"looked for {', '.join(IN_A_FOLDER)}")
    if len(same) > 1:
        names = ", ".join(str(path.relative_to(folder)) for path in found)
        raise BadInputError(f"{shown(str(folder))} has several plans: {names}", "name the one that you mean")
    return found[0]


# GitHub ----------------------------------------------------------------------------------------------------


def _from_github(source: str, root: Path) -> PlanText:
    """Return the issues as JSON. ``gh:``, then a repository or none, then numbers, ``label=…``, ``milestone=…`` or nothing."""
    told = _ISSUES.fullmatch(source)
    repo, which = (told["repo"] or "", told["which"].strip()) if told else ("", "")
    if shutil.which("gh") is None:
        raise LokiError("gh is not there, and issues are read through it", "install it: https://cli.github.com")
    gh = _Gh(root, repo)
    if _NUMBERS.fullmatch(which):
        issues = [gh.json("issue", "view", one.strip("#"), "--json", _FIELDS) for one in which.split(",")]
    else:
        words = ["issue", "list", "--state", "open", "--limit", str(_LIMIT), "--json", _FIELDS]
        for part in filter(None, re.split(r"[,&]", which)):
            key, sign, value = part.partition("=")
            if key not in {"label", "milestone", "assignee", "search"} or not sign or not value:
                raise BadInputError(f"{shown(source)} names no issues", f"known are {_FORMS}")
            words += [f"--{key}", value]
        issues = gh.json(*words)
    known = {int(issue["number"]): issue for issue in issues}
    waiting = list(known)
    while waiting:  # a sub-issue belongs to its issue, whether or not the label says so
        number = waiting.pop()
        issue = known[number]
        issue["sub_issues"] = gh.numbers(number, "sub_issues")
        issue["blocked_by"] = gh.numbers(number, "dependencies/blocked_by")
        issue["state"] = str(issue["state"]).lower()
        for part in issue["sub_issues"]:
            if part not in known and len(known) < _LIMIT:
                known[part] = gh.json("issue", "view", str(part), "--json", _FIELDS)
                waiting.append(part)
    for number in sorted(
        _blockers(known.values()) - known.keys()
    ):  # one that is not in the plan counts while it is open
        state = str(gh.json("issue", "view", str(number), "--json", "state")["state"]).lower()
        if state != "open":
            for issue in known.values():
                issue["blocked_by"] = [one for one in issue["blocked_by"] if one != number]
    text = json.dumps({"issues": [known[number] for number in sorted(known)]})
    return PlanText(f"gh:{repo}", text, f"gh:{repo}")


def _blockers(issues: Iterable[dict[str, Any]]) -> set[int]:
    return {one for issue in issues for one in issue["blocked_by"]}


@dataclass(frozen=True)
class _Gh:
    """GitHub's own command line, in the repository."""

    root: Path
    repo: str

    def json(self, *words: str) -> Any:
        """Return its answer. Raises ``LokiError`` with what it says."""
        return self._answer([*words, *(["--repo", self.repo] if self.repo else [])])

    def numbers(self, issue: int, what: str) -> list[int]:
        """Return the numbers of the issues that the API lists there; [] where the host does not have that list."""
        place = self.repo or "{owner}/{repo}"
        try:
            listed = self._answer(["api", "--paginate", f"repos/{place}/issues/{issue}/{what}"])
        except _NotThereError:
            return []
        return [int(one["number"]) for one in listed]

    def _answer(self, words: Sequence[str]) -> Any:
        env = scrubbed(GH_PROMPT_DISABLED="1", GH_NO_UPDATE_NOTIFIER="1", NO_COLOR="1")
        done = run(["gh", *words], cwd=self.root, env=env, timeout=_PATIENCE)
        if done.returncode != 0:
            said = (done.error_text.strip().splitlines() or ["it took too long" if done.timed_out else "it failed"])[0]
            if "HTTP 404" in done.error_text and words[0] == "api":
                raise _NotThereError(said)
            raise LokiError(f"gh could not read the issues: {said}", "`gh auth status` says whether it may")
        try:
            return json.loads(done.text)
        except ValueError as error:
            raise LokiError("gh answered what is no JSON", "is it up to date?") from error


class _NotThereError(LokiError):
    """The API has no such list."""
