"""The blocking client has the async one's methods and signatures, and can be used from any thread and interrupted."""

from __future__ import annotations

import inspect
import signal
import threading

import pytest

import countersign
from countersign import AsyncClient, Client
from tests.countersign.conftest import ACCESS, ASK
from tests.worlds.intake import API_KEY
from tests.worlds.intake_rows import SECRET

OWN = {"close", "from_environ"}
METHODS = sorted(
    name for name, value in vars(AsyncClient).items() if inspect.iscoroutinefunction(value) and not name.startswith("_")
)


def test_every_method_of_the_async_client_is_there_with_its_signature():
    assert set(METHODS) - OWN <= set(vars(Client))
    for name in set(METHODS) - OWN:
        assert inspect.signature(getattr(Client, name)) == inspect.signature(getattr(AsyncClient, name))
        assert not inspect.iscoroutinefunction(getattr(Client, name).__call__)


def test_the_whole_way(world, blocking):
    asked = blocking.request(**ASK, access=ACCESS)
    threading.Timer(0.1, world.approve).start()
    request = blocking.wait(asked, timeout_seconds=10)
    assert blocking.credential(request).session_token == SECRET["session_token"]
    assert blocking.release(request).over


def test_many_threads_share_one_client(world, blocking):
    found: list[str] = []

    def ask(number: int) -> None:
        found.append(blocking.request(**{**ASK, "resource": f"arn:aws:s3:::b/{number}"}).id)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 16


def test_an_interrupt_ends_the_call_and_the_client_still_works(world, blocking):
    asked = blocking.request(**ASK)

    def interrupt() -> None:
        world.wait_for_call("GET /v1/requests/")
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        blocking.wait(asked)
    assert blocking.get(asked).pending


def test_closing_twice_is_fine_and_ends_the_thread(world):
    before = threading.active_count()
    client = Client(world.url, API_KEY)
    client.requests()
    client.close()
    client.close()
    assert threading.active_count() == before


def test_settings_come_from_the_environment_and_say_what_is_missing(world):
    with Client.from_environ(world.environ) as client:
        assert client.requests() == []
    with pytest.raises(countersign.BadSetting, match="COUNTERSIGN_API_KEY"):
        Client.from_environ({"COUNTERSIGN_URL": world.url})
    with pytest.raises(countersign.BadSetting, match="COUNTERSIGN_URL"):
        AsyncClient.from_environ({})
