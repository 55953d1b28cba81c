"""Ports: nobody has the same one at the same time, over all repositories, and the dead hold nothing."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from loki_hooks.system.store.leases import FIRST, LAST, leased_ports, leases_file, port_variables

HOLD = """
import sys
from pathlib import Path
from loki_hooks.system.store.leases import leased_ports
with leased_ports(int(sys.argv[2]), Path(sys.argv[1])) as ports:
    print(*ports, flush=True)
    sys.stdin.read()
"""


def hold(worktree: str, count: int) -> tuple[subprocess.Popen[str], list[int]]:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, worktree, str(count)], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    return child, [int(word) for word in child.stdout.readline().split()]


def release(child: subprocess.Popen[str]) -> None:
    child.communicate(timeout=20)


def leased() -> set[int]:
    return {int(port) for port in json.loads(leases_file().read_text())["ports"]}


def test_many_at_once_share_none_and_give_all_back(tmp_path: Path) -> None:
    held = [hold(f"/somewhere/w{n % 3}", 2) for n in range(8)]  # also where they begin at the same place
    ports = [port for _, mine in held for port in mine]
    assert len(set(ports)) == 16
    assert set(ports) == leased()
    assert all(FIRST <= port <= LAST for port in ports)
    for child, _ in held:
        release(child)
    assert leased() == set()
    assert leases_file().stat().st_mode & 0o777 == 0o600


def test_what_a_killed_owner_held_is_free_again() -> None:
    child, ports = hold("/w", 3)
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    assert leased() == set(ports), "its lease is still written"
    with leased_ports(3, Path("/w")) as again:
        assert list(again) == ports, "the dead hold nothing, and a worktree gets the ports that it had"
    assert leased() == set()


def test_a_port_that_something_listens_on_is_not_leased() -> None:
    with leased_ports(1, Path("/w")) as (port,):
        pass
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "0.0.0.0")):
        with socket.socket(family) as server:
            server.bind((address, port))
            server.listen()
            with leased_ports(1, Path("/w")) as (other,):
                assert other != port
    with leased_ports(1, Path("/w")) as (again,):
        assert again == port


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"ports": 3}', '{"ports": {"x": null, "20001": {"owner": {"pid": "1"}}}}']
)
def test_a_file_that_cannot_be_read_is_as_good_as_none(text: str) -> None:
    leases_file().parent.mkdir(parents=True, exist_ok=True)
    leases_file().write_text(text)
    with leased_ports(2, Path("/w")) as ports:
        assert leased() == set(ports)


def test_none_asked_for_touches_nothing() -> None:
    with leased_ports(0, Path("/w")) as ports:
        assert ports == ()
    assert not leases_file().exists()


def test_an_exception_gives_them_back() -> None:
    with pytest.raises(RuntimeError), leased_ports(1, Path("/w")):
        raise RuntimeError
    assert leased() == set()


def test_names_of_the_variables() -> None:
    assert port_variables((5, 6, 7)) == {"PORT": "5", "PORT_1": "6", "PORT_2": "7"}
    assert port_variables(()) == {}
