"""The machine's load: measured with psutil and the limits of our control groups, kept in ``state/resources.json``.

In a container the host may idle while our share is used up, so the worse of the two counts. The limits are read
as files (https://docs.kernel.org/admin-guide/cgroup-v2.html and …/cgroup-v1/), from our own group up to the top of
what is mounted, because a group above may be the tighter one:

              version 2                         version 1
    memory    memory.max, memory.current        memory.limit_in_bytes, memory.usage_in_bytes
              less inactive_file                less total_inactive_file (page cache that can go at once)
    CPU       cpu.max, cpu.stat: usage_usec     cpu.cfs_quota_us / cpu.cfs_period_us, cpuacct.usage (ns)

The file (upstream Loki Mode reads and writes it too; its reader breaks on anything but finite numbers):

    {"timestamp": "…Z", "cpu": {"usage_percent": 12.5, "threshold_percent": 85, "status": "ok" or "high"},
     "memory": {the same}, "by": "loki-hooks", "overall_status": "ok" or "warning", "warning_message": ""}
"""

from __future__ import annotations

import math
import os
import posixpath
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loki_hooks.errors import LokiError
from loki_hooks.system.clock import now, seconds_since
from loki_hooks.system.files import write_atomic
from loki_hooks.system.json import dump_json, read_json

if TYPE_CHECKING:
    from loki_hooks.domain.sessions.cap import Thresholds
    from loki_hooks.system.site import Site

FRESH_SECONDS = 60.0
"""How long what another program measured is good for."""
GLANCE_SECONDS = 5.0
"""The same for ours, which is a glance of ``_INTERVAL``: a moment's load says nothing of a minute later."""
_INTERVAL = 0.15
_PROC_SELF = Path("/proc/self")


@dataclass(frozen=True)
class Snapshot:
    """Percent of CPU and memory in use, each finite and within 0 and 100, and when (UTC ISO 8601)."""

    cpu: float
    memory: float
    timestamp: str

    def to_json(self, thresholds: Thresholds) -> dict[str, Any]:
        """Return the content of ``state/resources.json``."""
        parts = {"cpu": (self.cpu, thresholds.cpu), "memory": (self.memory, thresholds.memory)}
        high = [name for name, (usage, threshold) in parts.items() if int(usage) >= threshold]
        said = [f"{name} {parts[name][0]:g} % (threshold {parts[name][1]} %)" for name in high]
        return {
            "timestamp": self.timestamp,
            **{
                name: {
                    "usage_percent": usage,
                    "threshold_percent": threshold,
                    "status": "high" if name in high else "ok",
                }
                for name, (usage, threshold) in parts.items()
            },
            "by": "loki-hooks",
            "overall_status": "warning" if high else "ok",
            "warning_message": f"high load: {', '.join(said)}" if said else "",
        }


@dataclass(frozen=True)
class CpuLimit:
    """``cpus`` processors' worth of time; what is used of it is counted in ``counter``, ``per_second`` units."""

    cpus: float
    counter: Path
    per_second: float

    def used(self) -> float | None:
        """Return the seconds of processor time used since the group was made."""
        text = _text(self.counter)
        ticks = _fields(text).get("usage_usec") if self.counter.name == "cpu.stat" else _whole(text)
        return None if ticks is None else ticks / self.per_second


def path_of(site: Site) -> Path:
    """Return where the snapshot is kept."""
    return site.loki / "state" / "resources.json"


def read(site: Site) -> object:
    """Return the parsed snapshot, whoever wrote it and whatever its shape; None when there is none."""
    return read_json(path_of(site))


def is_fresh(value: object, path: Path) -> bool:
    """Return whether the snapshot ``value``, read from ``path``, is new enough to decide by.

    Its timestamp counts, or the file's time when it has no usable one. One from the future is not fresh: it would
    stay so for ever.
    """
    if not isinstance(value, dict):
        return False
    stamp = value.get("timestamp")
    age = seconds_since(stamp) if isinstance(stamp, str) else None
    if age is None:
        try:
            age = time.time() - path.lstat().st_mtime
        except OSError:
            return False
    return abs(age) <= (GLANCE_SECONDS if value.get("by") == "loki-hooks" else FRESH_SECONDS)


def write(site: Site, snapshot: Snapshot, thresholds: Thresholds) -> None:
    """Replace the snapshot file. Raises ``LokiError`` when it cannot be written."""
    site.folder("state")
    write_atomic(path_of(site), dump_json(snapshot.to_json(thresholds)))


def sample(interval: float = _INTERVAL, proc: Path = _PROC_SELF) -> Snapshot:
    """Measure for ``interval`` seconds. Raises ``LokiError`` where the system does not tell.

    ``proc`` is proc(5)'s folder of the process whose control groups count.
    """
    import psutil

    try:
        limits = cpu_limits(proc)
        before = [limit.used() for limit in limits]
        began = time.monotonic()
        per_cpu = psutil.cpu_percent(interval=interval, percpu=True)
        elapsed = time.monotonic() - began
        cpu = _busiest(per_cpu, _allowed_cpus())
        memory = psutil.virtual_memory()
    except (psutil.Error, OSError, RuntimeError, ValueError) as error:
        raise LokiError(f"cannot measure the machine's load: {error}") from error
    for limit, start in zip(limits, before, strict=True):
        end = limit.used()
        if start is not None and end is not None and elapsed > 0:
            cpu = max(cpu, 100 * (end - start) / (elapsed * limit.cpus))
    used = max([memory.percent, *memory_usages(memory.total, proc)])
    return Snapshot(_percent(cpu), _percent(used), now())


def memory_usages(total: int, proc: Path = _PROC_SELF) -> list[float]:
    """Return the percent used of each memory limit that we are under and that is below the host's ``total`` bytes."""
    return [100 * used / limit for limit, used in memory_limits(total, proc)]


def free_memory(proc: Path = _PROC_SELF) -> int:
    """Return the bytes that may still be taken: what the host has available, or less where a limit leaves less.

    Raises ``LokiError`` where the system does not tell.
    """
    import psutil

    try:
        memory = psutil.virtual_memory()
    except (psutil.Error, OSError, RuntimeError, ValueError) as error:
        raise LokiError(f"cannot measure the free memory: {error}") from error
    return min([int(memory.available), *(max(0, limit - used) for limit, used in memory_limits(memory.total, proc))])


def memory_limits(total: int, proc: Path = _PROC_SELF) -> list[tuple[int, int]]:
    """Return (limit, used), in bytes, of each memory limit that we are under and that is below the host's ``total``."""
    found = []
    for version_2, names in (
        (True, ("memory.max", "memory.current", "inactive_file")),
        (False, ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")),
    ):
        for folder in _groups("" if version_2 else "memory", proc):
            limit, usage = _whole(_text(folder / names[0])), _whole(_text(folder / names[1]))
            if limit is None or usage is None or not 0 < limit < total:
                continue
            reclaimable = _fields(_text(folder / "memory.stat")).get(names[2], 0)
            found.append((limit, max(0, usage - reclaimable)))
    return found


def cpu_limits(proc: Path = _PROC_SELF) -> list[CpuLimit]:
    """Return the limits on processor time that we are under."""
    found = []
    for folder in _groups("", proc):
        quota, _, period = _text(folder / "cpu.max").strip().partition(" ")
        cpus = _ratio(_whole(quota), _whole(period))
        if cpus is not None:
            found.append(CpuLimit(cpus, folder / "cpu.stat", 1e6))
    groups, accounts = _groups("cpu", proc), _groups("cpuacct", proc)
    for folder in groups if accounts else ():
        cpus = _ratio(_whole(_text(folder / "cpu.cfs_quota_us")), _whole(_text(folder / "cpu.cfs_period_us")))
        if cpus is not None:
            found.append(CpuLimit(cpus, accounts[-1] / folder.relative_to(groups[-1]) / "cpuacct.usage", 1e9))
    return found


def _groups(controller: str, proc: Path) -> list[Path]:
    """Return the folders of our groups under ``controller`` ('' is version 2), own first, up to the mount point.

    cgroups(7) gives our path, proc(5) ``mountinfo`` where which part of the tree is mounted. A path outside what is
    mounted (a container with the host's tree hidden) means the mount point itself.
    """
    own = next(
        (path for _, controllers, path in _lines(proc / "cgroup", ":", 3) if controller in controllers.split(",")), None
    )
    mounted = _mount(controller, proc)
    if own is None or mounted is None:
        return []
    root, top = mounted
    below = "." if ".." in f"{own}/{root}".split("/") else posixpath.relpath(own, root)
    folder = top if below == "." or below.startswith("..") else top / below
    return [folder, *(parent for parent in folder.parents if parent == top or top in parent.parents)]


def _mount(controller: str, proc: Path) -> tuple[str, Path] | None:
    """Return which part of the tree of ``controller`` is mounted, and where."""
    for line in _text(proc / "mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        place, kind = before.split(), after.split()
        if len(place) < 5 or len(kind) < 3:
            continue
        if kind[0] == ("cgroup" if controller else "cgroup2") and (not controller or controller in kind[2].split(",")):
            return place[3], Path(place[4].replace("\\040", " "))
    return None


def _busiest(per_cpu: Iterable[float], allowed: set[int]) -> float:
    """Return the mean load of all processors or of those allowed to us, whichever is higher."""
    every = list(per_cpu)
    ours = [load for index, load in enumerate(every) if index in allowed]
    return max((sum(part) / len(part) for part in (every, ours) if part), default=0.0)


def _allowed_cpus() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def _percent(value: float) -> float:
    return round(min(100.0, max(0.0, value)), 1) if math.isfinite(value) else 0.0


def _ratio(quota: int | None, period: int | None) -> float | None:
    return quota / period if quota and period else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _lines(path: Path, separator: str, parts: int) -> list[list[str]]:
    split = [line.split(separator, parts - 1) for line in _text(path).splitlines()]
    return [fields for fields in split if len(fields) == parts]


def _fields(text: str) -> dict[str, int]:
    """Return a flat keyed file (``name number`` a line) as a mapping."""
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isascii() and pair[1].isdigit()}


def _whole(text: str) -> int | None:
    """Return the number, or None for `max`, -1 and everything else that is no limit."""
    word = text.strip()
    return int(word) if word.isascii() and word.isdigit() and len(word) < 40 else None
