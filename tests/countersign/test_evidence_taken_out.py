"""Auditors' commands against a log whose first records were taken out: each says what it has no more of."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from countersign.cli import main
from countersign.commands import evidence_words as words
from tests.worlds.background import Background
from tests.worlds.shortened import shorten
from tests.worlds.web import Web
from workers.stores.memory import memory_store

Told = tuple[int, str, str]


class Town:
    """A web process in a thread of its own, with two requests in it, of which one has lost its ask."""

    def __init__(self, web: Web, run: Callable[[Any], Any]) -> None:
        self.web, self.run, log = web, run, web.store.log
        self.torn = run(web.ask("k1")).json["id"]
        size = run(log.size())
        self.left = run(web.ask("k2", parameters={"n": 2})).json["id"]
        run(web.review(self.torn, "robin", reason="fine"))
        self.gone = run(shorten(web.store, size))


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    background = Background("web")
    opened = Web.over(memory_store())
    web = background.run(opened.__aenter__())
    try:
        yield Town(web, background.run)
    finally:
        background.close(lambda: opened.__aexit__(None, None, None))  # type: ignore[arg-type, return-value]


@pytest.fixture
def told(town: Town, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    """Run `countersign ARGUMENTS…` in this process as the auditor."""

    def run(*arguments: str) -> Told:
        monkeypatch.setenv("COUNTERSIGN_URL", town.web.base)
        monkeypatch.setenv("COUNTERSIGN_API_KEY", town.web.keys["caller:auditor"])
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        return ended.value.code, *capfd.readouterr()  # type: ignore[return-value]

    return run


def test_a_search_says_what_it_cannot_find(town: Town, told: Callable[..., Told]) -> None:
    got, out, err = told("audit", "search", "--actor", "report-bot", "--json")
    assert (got, [one["request"] for one in json.loads(out)]) == (0, [town.left])
    assert town.gone.from_search() in err.replace("\n", " ")
    assert town.gone.from_search() in told("audit", "search", "--resource", "arn:nowhere")[2].replace("\n", " ")


def test_a_report_says_it_as_lines_json_and_csv(town: Town, told: Callable[..., Told]) -> None:
    said = town.gone.from_report([town.torn])
    assert said in told("report", "access", "--from", "1d")[1]
    found = json.loads(told("report", "access", "--from", "1d", "--json")[1])
    assert found["taken_out"] == {**town.gone.as_json(), "requests": [town.torn]}
    (row,) = csv.DictReader(io.StringIO(told("report", "access", "--from", "1d", "--csv")[1], newline=""))
    assert row["request"] == said


def test_a_story_begins_with_what_is_gone(town: Town, told: Callable[..., Told]) -> None:
    got, out, _ = told("audit", "show", town.torn)
    assert got == 0
    assert "… The first record of this story was taken out of the log; an export holds it." in out
    assert "robin approves: fine" in out and "THE CHAIN IS BROKEN" not in out
    assert "Not checked: 1 before," in out
    found = town.run(town.web.call("GET", f"/v1/audit/{town.torn}?bodies=1", who="caller:auditor")).json
    assert "THE CHAIN IS BROKEN" not in "".join(words.story(found, None))
    assert "THE CHAIN IS BROKEN: it begins with record 2, and the log took out 0" in "".join(
        words.story({**found, "taken_out": 0}, None)
    )
    sys = told("audit", "show", "sys")[1]
    assert sys.startswith("No records") and "taken out of the log; an export holds them" in sys
