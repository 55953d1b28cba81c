"""`install`: look at the repository, make the plan (`domain.install`), carry it out; every change is recorded first."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from loki_hooks.assets import asset_dir, package_dir, template_text
from loki_hooks.domain.install.chain import SHIM_ID, legacy, owner_of
from loki_hooks.domain.install.plan import make_plan
from loki_hooks.domain.install.proposal import LOOKED_AT, PACKAGES, propose, shortfalls
from loki_hooks.domain.install.values import (
    HOOKS,
    Configure,
    InstallFacts,
    InstallPlan,
    InstallStep,
    InstallWay,
    Move,
    Owner,
    RunInstaller,
    TurnOn,
    Write,
)
from loki_hooks.errors import LokiError, reason_in
from loki_hooks.system.config.load import FILE, PYPROJECT, load
from loki_hooks.system.files import read_plain, write_atomic
from loki_hooks.system.git.git import Git, has_config_hooks, split_z
from loki_hooks.system.hooks.files import chains, configured, content, hooks_folder, hooks_path
from loki_hooks.system.hooks.framework import find_config, read_config
from loki_hooks.system.hooks.record import (
    Change,
    Configured,
    Image,
    InstallRecord,
    MovedFile,
    Written,
    image_of,
    keep_edited,
    put,
    read_record,
    write_record,
)
from loki_hooks.system.hooks.standing import note_places
from loki_hooks.system.processes.run import run, scrubbed

if TYPE_CHECKING:
    from collections.abc import Callable

    from loki_hooks.system.site import Site

_TEMPLATES = ("shim.sh", "shim-pre-push.sh", "husky.sh", "husky-pre-push.sh")
_LEFTHOOK = ("lefthook.yml", "lefthook.yaml", ".lefthook.yml", ".lefthook.yaml", "lefthook.toml", "lefthook.json")
_SMALL = 1024 * 1024


def plan_install(site: Site, asked: InstallWay | None = None) -> InstallPlan:
    """Return what `install` would do here. Changes nothing. Raises ``LokiError`` where it cannot be done."""
    facts = gather(site)
    return make_plan(replace(facts, shortfalls=_shortfalls(site, facts)), asked)


def plan_repair(site: Site) -> InstallPlan:
    """Return what `install` would do here, as a hook may ask: nothing is said of the configuration, which takes time to read."""
    return make_plan(gather(site), None)


def carry_out(site: Site, plan: InstallPlan, say: Callable[[str], None]) -> None:
    """Do what the plan says, each step recorded first; ``say`` is told each step."""
    record = read_record(site)
    if not record.way:
        record = replace(record, way=plan.way.value)
    for step in plan.steps:
        say(str(step))
        aside = _kept(step, record)
        if aside is not None:
            say(f"{aside} has what somebody wrote into it since; git does not run that")
        record = _do(site, step, record)
    note_places(site)


def gather(site: Site) -> InstallFacts:
    """Return the facts that the plan is made from."""
    base = _base(site)
    folder = hooks_folder(site)
    own = os.path.realpath(folder) == os.path.realpath(site.common / "hooks") and not folder.is_symlink()
    path, scope = hooks_path(site)
    found = chains(folder)
    record = read_record(site)
    scripts = _scripts()
    files = _texts(base) if base is not None else {}
    proposal = _proposal(base, files)
    config = find_config(base) if base is not None else None
    installed = _framework_hooks(folder)
    facts = InstallFacts(
        common=str(site.common),
        loki=str(site.loki),
        enabled=site.enabled and site.loki.is_dir(),
        base="" if base is None else str(base),
        hooks_folder=str(folder),
        own_folder=own,
        hooks_path=path,
        hooks_path_scope=scope,
        config_hooks=has_config_hooks(),
        chains=found,
        contents={},
        modes={},
        configured=configured(site),
        scripts=scripts,
        python=sys.executable,
        main=str(package_dir() / "__main__.py"),
        templates={name: template_text(f"install/{name}") for name in _TEMPLATES},
        lefthook=base is not None and any((base / name).is_file() for name in _LEFTHOOK),
        programs=_programs(),
        framework_config=None
        if config is None
        else read_config(config, template_text("install/pre-commit-hook.yaml"), tuple(installed)),
        prek_toml=base is not None and (base / "prek.toml").is_file(),
        proposal=proposal,
        frameworks=tuple(sorted({owner.value for owner in installed.values()})),
        installed_way=InstallWay(record.way) if record.way else None,
    )
    looked_at = [f"{site.common}/loki/hooks/{name}" for name in scripts] + [f"{site.common}/loki/python"]
    looked_at += [legacy(f"{folder}/{name}", depth) for name in HOOKS for depth in range(len(found.get(name, ())))]
    if facts.husky:
        looked_at += [f"{facts.husky}/{name}" for name in HOOKS]
    contents = {name: data for name in looked_at if (data := content(Path(name))) is not None}
    return replace(facts, contents=contents, modes={name: Path(name).stat().st_mode for name in contents})


def _base(site: Site) -> Path | None:
    """Return the worktree whose files say which tools are used: the main one, else the one we stand in, if any."""
    if site.main is not None:
        return site.main
    top = Git(site.here).maybe("rev-parse", "--show-toplevel")
    return Path(top) if top else None


def _framework_hooks(folder: Path) -> dict[str, Owner]:
    """Return the hooks, of whatever type, that are a framework's scripts, and whose."""
    if not folder.is_dir():
        return {}
    found = {path.name: owner_of(content(path) or b"") for path in sorted(folder.iterdir()) if "." not in path.name}
    return {name: owner for name, owner in found.items() if owner in {Owner.PRE_COMMIT, Owner.PREK}}


def _scripts() -> dict[str, bytes]:
    folder = asset_dir("hooks")
    return {name: (folder / name).read_bytes() for name in (*HOOKS, "prologue.sh")}


def _programs() -> dict[str, str]:
    """Return the frameworks' programs: on PATH, or beside our own Python."""
    beside = os.pathsep.join((os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)))
    found = {name: shutil.which(name, path=beside) for name in ("pre-commit", "prek")}
    return {name: path for name, path in found.items() if path}


def _texts(base: Path) -> dict[str, str]:
    """Return the files at the root that say how the project is built and tested, by name."""
    found = {name: read_plain(base / name, _SMALL) for name in LOOKED_AT if (base / name).is_file()}
    return {name: raw.decode("utf-8", "replace") for name, raw in found.items() if raw is not None}


def _shortfalls(site: Site, facts: InstallFacts) -> tuple[str, ...]:
    """Return what will not happen here by itself; nothing where the configuration cannot be read, which is said elsewhere."""
    base = _base(site)
    try:
        effective = load(site, Git(site.root))
    except LokiError:
        return ()
    has_gate = facts.proposal is not None or bool(effective.working.gates) or bool(effective.in_force.gates)
    listed = (
        Git(base).maybe("ls-files", "-z", "--", *(f"*/{name}" for name in PACKAGES)) if base and not has_gate else ""
    )
    packages = {str(Path(name).parent) for name in split_z(listed or "")}
    automatic = effective.working.environment.setup == "auto"
    return shortfalls(_texts(base) if base else {}, packages, has_gate=has_gate, automatic=automatic)


def _proposal(base: Path | None, files: dict[str, str]) -> Write | None:
    """Return a ``loki-hooks.toml`` with the gate that this project suggests; None when it has one, or suggests none."""
    if base is None or os.path.lexists(base / FILE) or "[tool.loki-hooks" in files.get(PYPROJECT, ""):
        return None
    tests = any(
        next((base / folder).glob(pattern), None) is not None
        for folder, pattern in ((".", "test_*.py"), ("tests", "**/test_*.py"), ("test", "**/test_*.py"))
        if (base / folder).is_dir()
    )
    gate = propose(files, tests)
    if gate is None:
        return None
    text = template_text("install/loki-hooks.toml").replace("@WHY@", gate.why).replace("@GATE@", gate.gate)
    text = text.replace("@COMMAND@", '"' + gate.command.replace("\\", "\\\\").replace('"', '\\"') + '"')
    return Write(str(base / FILE), text.encode(), None, f"the gate `{gate.command}`, proposed because of {gate.why}")


# Carrying it out -----------------------------------------------------------------------------------------


def _kept(step: InstallStep, record: InstallRecord) -> Path | None:
    """Keep a copy of the hook of ours that the step writes anew, if somebody changed it since; return where."""
    if not isinstance(step, Write) or step.inserted or SHIM_ID.encode() not in step.data:
        return None
    path = Path(step.path)
    after = next((c.after for c in record.changes if isinstance(c, Written) and c.path == path), None)
    return keep_edited(path, after)


def _do(site: Site, step: InstallStep, record: InstallRecord) -> InstallRecord:
    if isinstance(step, TurnOn):
        site.enable("install")
        write_record(site, record)
        return record
    if isinstance(step, Write):
        return _write(site, step, record)
    if isinstance(step, Move):
        source, target = Path(step.source), Path(step.target)
        if os.path.lexists(target):
            raise LokiError(f"{target} is in the way of {source}", "install again: something changed meanwhile")
        changed = _recorded(site, record, MovedFile(source, target, image_of(source)))
        source.rename(target)
        return changed
    if isinstance(step, Configure):
        return _configure(site, step, record)
    return _run_installer(site, step, record)


def _recorded(site: Site, record: InstallRecord, change: Change) -> InstallRecord:
    changed = record.with_change(change)
    write_record(site, changed)
    return changed


def _write(site: Site, step: Write, record: InstallRecord) -> InstallRecord:
    path = Path(step.path)
    if not step.private:
        path = path.resolve() if path.is_symlink() and SHIM_ID.encode() not in step.data else path
        before = image_of(path)
        mode = step.mode if step.mode is not None else before.mode or _new_file_mode()
        after = Image(step.data, mode)
        made = tuple(folder for folder in path.parents if not folder.exists())
        record = _recorded(site, record, Written(path, before, after.digest, step.inserted, made))
        put(path, after)
        return record
    write_atomic(path, step.data)
    path.chmod(step.mode if step.mode is not None else 0o644)
    return record


def _new_file_mode() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return 0o666 & ~mask


def _configure(site: Site, step: Configure, record: InstallRecord) -> InstallRecord:
    git = Git(site.here, hooks=True)
    before = tuple((git.maybe("config", "--local", "--get-all", step.key) or "").splitlines())
    changed = _recorded(site, record, Configured(step.key, before, step.value))
    git.out("config", "--local", "--replace-all", step.key, step.value)
    return changed


def _run_installer(site: Site, step: RunInstaller, record: InstallRecord) -> InstallRecord:
    before = {name: image_of(Path(name)) for name in step.watch}
    changed = record
    for name, image in before.items():
        changed = changed.with_change(Written(Path(name), image, None))
    write_record(site, changed)
    done = run(step.argv, cwd=step.cwd, env=scrubbed(LOKI_HOOKS_DISABLE="1"), timeout=120)
    final = record
    for name, image in before.items():
        now = image_of(Path(name))
        if now != image:
            final = final.with_change(Written(Path(name), image, now.digest))
    write_record(site, final)
    if done.returncode != 0:
        said = done.error_text.strip() or done.text.strip()
        raise LokiError(
            f"`{' '.join(step.argv[:2])}` failed: {reason_in(said) if said else f'exit status {done.returncode}'}",
            "run it yourself to see more, then install again; `loki-hooks uninstall` takes everything back",
        )
    return final
