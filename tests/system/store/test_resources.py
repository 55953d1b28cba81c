"""Measuring: the worse of host and control groups, always finite; the snapshot file in the shape that others read."""

from __future__ import annotations

import json
import math
import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from loki_hooks.domain.sessions.cap import Thresholds
from loki_hooks.errors import LokiError
from loki_hooks.system.site import Site, discover
from loki_hooks.system.store import resources
from loki_hooks.system.store.resources import Snapshot

if TYPE_CHECKING:
    from conftest import Repo

TOTAL = 8 * 2**30


@pytest.fixture
def site(repo: Repo) -> Site:
    return discover(repo.path)


def put(folder: Path, **files: object) -> None:
    """Write files of a made-up control group; ``memory__max`` is ``memory.max``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".", 1)).write_text(f"{content}\n")


def version_2(tmp_path: Path, own: str = "/a/b", root: str = "/") -> tuple[Path, Path]:
    """Return (a made-up /proc/self, the mount point) of a version 2 tree."""
    top = tmp_path / "cg two"
    place = str(top).replace(" ", "\\040")
    mount = f"31 23 0:28 {root} {place} rw shared:9 - cgroup2 cgroup2 rw"
    put(tmp_path / "self", cgroup=f"0::{own}", mountinfo=f"20 1 0:1 / / rw - ext4 /dev/x rw\n{mount}\nshort line")
    top.mkdir()
    return tmp_path / "self", top


def version_1(tmp_path: Path, own: str = "/a") -> tuple[Path, Path]:
    top = tmp_path / "cg"
    put(
        tmp_path / "self",
        cgroup=f"4:memory:{own}\n3:cpuacct,cpu:{own}\n2:name=systemd:/\n0::/",
        mountinfo="".join(
            f"3{n} 23 0:2{n} / {top}/{c} rw - cgroup cgroup rw,{c}\n" for n, c in enumerate(("memory", "cpu,cpuacct"))
        ),
    )
    return tmp_path / "self", top


def test_a_sample_is_finite_and_within_0_and_100() -> None:
    began = time.monotonic()
    found = resources.sample()
    assert time.monotonic() - began < 5
    for usage in (found.cpu, found.memory):
        assert isinstance(usage, float) and math.isfinite(usage) and 0 <= usage <= 100
    assert found.timestamp.endswith("Z")
    assert found.memory > 0


def test_memory_limits_of_version_2_count_up_to_the_top_without_reclaimable_cache(tmp_path: Path) -> None:
    proc, top = version_2(tmp_path)
    put(top / "a/b", memory__max=1000, memory__current=900, memory__stat="anon 5\ninactive_file 400\nbad\nx y")
    put(top / "a", memory__max=2000, memory__current=1900)
    put(top, memory__max="max", memory__current=5)
    assert resources.memory_usages(TOTAL, proc) == [50, 95]
    assert resources.sample(0.01, proc).memory == 95


def test_memory_limits_of_version_1(tmp_path: Path) -> None:
    proc, top = version_1(tmp_path)
    put(
        top / "memory/a",
        memory__limit_in_bytes=1000,
        memory__usage_in_bytes=960,
        memory__stat="inactive_file 1\ntotal_inactive_file 60",
    )
    put(top / "memory", memory__limit_in_bytes=9223372036854771712, memory__usage_in_bytes=960)
    assert resources.memory_usages(TOTAL, proc) == [90]


@pytest.mark.parametrize("limit", ["max", "0", "-1", "", "junk", str(TOTAL), "9" * 50])
def test_what_is_no_limit_does_not_count(tmp_path: Path, limit: str) -> None:
    proc, top = version_2(tmp_path)
    put(top / "a/b", memory__max=limit, memory__current=960)
    assert resources.memory_usages(TOTAL, proc) == []


@pytest.mark.parametrize(("own", "root"), [("/docker/x", "/docker/x"), ("/elsewhere", "/docker/x"), ("/../y", "/")])
def test_a_container_sees_its_own_group_at_the_mount_point(tmp_path: Path, own: str, root: str) -> None:
    proc, top = version_2(tmp_path, own, root)
    put(top, memory__max=1000, memory__current=700)
    assert resources.memory_usages(TOTAL, proc) == [70]


def test_without_control_groups_the_host_alone_counts(tmp_path: Path) -> None:
    assert resources.memory_usages(TOTAL, tmp_path) == []
    assert resources.cpu_limits(tmp_path) == []
    assert 0 < resources.sample(0.01, tmp_path).memory <= 100


def test_cpu_limits_of_version_2(tmp_path: Path) -> None:
    proc, top = version_2(tmp_path)
    put(top / "a/b", cpu__max="50000 100000", cpu__stat="usage_usec 3000000\nuser_usec 1")
    put(top / "a", cpu__max="max 100000")
    (limit,) = resources.cpu_limits(proc)
    assert (limit.cpus, limit.used()) == (0.5, 3.0)


def test_cpu_limits_of_version_1(tmp_path: Path) -> None:
    proc, top = version_1(tmp_path)
    put(top / "cpu,cpuacct/a", cpu__cfs_quota_us=200000, cpu__cfs_period_us=100000, cpuacct__usage=3000000000)
    put(top / "cpu,cpuacct", cpu__cfs_quota_us=-1, cpu__cfs_period_us=100000, cpuacct__usage=5)
    (limit,) = resources.cpu_limits(proc)
    assert (limit.cpus, limit.used()) == (2.0, 3.0)


@pytest.mark.parametrize("counter", ["", "usage_usec", "usage_usec -5", "nothing 5"])
def test_a_counter_that_says_nothing_is_left_out(tmp_path: Path, counter: str) -> None:
    proc, top = version_2(tmp_path)
    put(top / "a/b", cpu__max="50000 100000", cpu__stat=counter)
    assert [limit.used() for limit in resources.cpu_limits(proc)] == [None]
    assert 0 <= resources.sample(0.01, proc).cpu <= 100


def test_a_used_up_share_counts_though_the_host_idles(tmp_path: Path) -> None:
    proc, top = version_2(tmp_path)
    put(top / "a/b", cpu__max="1000 100000", cpu__stat="usage_usec 0")
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(0.01):
            replacement = top / "next"
            replacement.write_text(f"usage_usec {time.monotonic_ns() // 1000}\n")
            replacement.replace(top / "a/b/cpu.stat")

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert resources.sample(0.1, proc).cpu == 100
    finally:
        ended.set()
        thread.join()


def test_the_file_has_the_shape_that_others_read(site: Site) -> None:
    resources.write(site, Snapshot(12.5, 40.0, "2026-11-20T10:00:00.000000Z"), Thresholds())
    assert json.loads((site.loki / "state/resources.json").read_text()) == {
        "timestamp": "2026-11-20T10:00:00.000000Z",
        "cpu": {"usage_percent": 12.5, "threshold_percent": 85, "status": "ok"},
        "memory": {"usage_percent": 40.0, "threshold_percent": 85, "status": "ok"},
        "by": "loki-hooks",
        "overall_status": "ok",
        "warning_message": "",
    }
    assert (site.loki / ".gitignore").read_text() == "*\n"
    assert [p.name for p in (site.loki / "state").iterdir()] == ["resources.json"]


def test_high_is_at_or_above_the_threshold_by_the_whole_part() -> None:
    found = Snapshot(84.9, 60.0, "t").to_json(Thresholds(85, 60))
    assert (found["cpu"]["status"], found["memory"]["status"], found["overall_status"]) == ("ok", "high", "warning")
    assert found["memory"]["threshold_percent"] == 60
    assert found["warning_message"] == "high load: memory 60 % (threshold 60 %)"


def test_what_was_written_is_read_and_fresh(site: Site) -> None:
    assert resources.read(site) is None
    sampled = resources.sample(0.01)
    resources.write(site, sampled, Thresholds())
    assert resources.read(site) == sampled.to_json(Thresholds())
    assert resources.is_fresh(resources.read(site), resources.path_of(site))


def at(seconds: float, zulu: bool = False) -> Callable[[], object]:
    """Return what makes a snapshot of so many seconds ago, when it is called: the test may begin long after this."""

    def make() -> object:
        text = (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()
        return {"timestamp": text.replace("+00:00", "Z") if zulu else text}

    return make


@pytest.mark.parametrize(
    ("value", "file_age", "fresh"),
    [
        (at(0), 3600, True),
        (at(0, zulu=True), 3600, True),
        (at(300), 0, False),
        (at(-3600), 0, False),
        ({"timestamp": "0001-01-01T00:00:00+23:59"}, 0, False),
        ({"timestamp": "yesterday"}, 0, True),
        ({"timestamp": "yesterday"}, 90, False),
        ({"timestamp": 5}, 0, True),
        ({}, 0, True),
        ({}, 90, False),
        (None, 0, False),
        ([], 0, False),
        ("text", 0, False),
    ],
)
def test_fresh_is_within_a_minute_by_the_timestamp_else_by_the_file(
    tmp_path: Path, value: object, file_age: float, fresh: bool
) -> None:
    file = tmp_path / "resources.json"
    file.touch()
    os.utime(file, (time.time() - file_age,) * 2)
    assert resources.is_fresh(value() if callable(value) else value, file) is fresh


def test_no_file_is_not_fresh(tmp_path: Path) -> None:
    assert not resources.is_fresh({}, tmp_path / "absent")


def test_a_folder_in_its_place_is_an_error_and_is_left_alone(site: Site) -> None:
    stays = site.folder("state", "resources.json") / "mine"
    stays.touch()
    assert resources.read(site) is None
    with pytest.raises(LokiError):
        resources.write(site, Snapshot(1.0, 1.0, "t"), Thresholds())
    assert stays.exists()


def test_a_link_in_its_place_is_neither_read_nor_followed(site: Site, tmp_path: Path) -> None:
    target = tmp_path / "theirs.json"
    target.write_text('{"cpu": {"usage_percent": 99}}')
    (site.folder("state") / "resources.json").symlink_to(target)
    assert resources.read(site) is None
    resources.write(site, Snapshot(1.0, 1.0, "t"), Thresholds())
    assert target.read_text() == '{"cpu": {"usage_percent": 99}}'
