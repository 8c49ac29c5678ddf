"""Auditors' commands against the real web process: the story, searches, reports, and what each says of bad input."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from approvers.audit import check_chain
from countersign.cli import main
from tests.worlds import samples
from tests.worlds.background import Background
from tests.worlds.web import Web
from workers.stores.memory import memory_store

Told = tuple[int, str, str]


class Town:
    """A web process in a thread of its own, with two requests in it."""

    def __init__(self, web: Web, run: Callable[[Any], Any]) -> None:
        self.web, self.run = web, run
        self.approved = run(web.ask("k1")).json["id"]
        run(web.review(self.approved, "robin", reason="fine"))
        self.waiting = run(web.ask("k2", reason="=cmd|' /C calc'!A0")).json["id"]


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
    """Run `countersign ARGUMENTS…` in this process as a principal."""

    def run(*arguments: str, who: str = "caller:auditor") -> Told:
        monkeypatch.setenv("COUNTERSIGN_URL", town.web.base)
        monkeypatch.setenv("COUNTERSIGN_API_KEY", town.web.keys[who])
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        return ended.value.code, *capfd.readouterr()  # type: ignore[return-value]

    return run


def test_show_tells_the_story_and_checks_the_chain_here(town: Town, told: Callable[..., Told]) -> None:
    got, out, _ = told("audit", "show", town.approved)
    assert got == 0
    assert out.splitlines()[0].endswith(
        "asked for s3:GetObject on arn:aws:s3:::customer-exports/2026/* (prod-payments, prod)"
    )
    for words in (
        "robin approves: fine",
        "Known by",
        "4 records, checked here: each holds",
        "The reason given: Rebuild",
    ):
        assert words in out, words
    assert [one["n"] for one in json.loads(told("audit", "show", town.approved, "--json")[1])] == [1, 2, 3, 4]
    bodies = told("audit", "show", town.approved, "--bodies")[1].encode().splitlines()
    check_chain(town.approved, bodies)


def test_show_sys_tells_what_changed(told: Callable[..., Told]) -> None:
    got, out, _ = told("audit", "show", "sys")
    assert got == 0
    assert "applies the policy sha256:" in out
    assert told("audit", "show", "sys", who=samples.CALLER)[0] == 1


def test_search_finds_and_says_what_to_try(town: Town, told: Callable[..., Told]) -> None:
    got, out, _ = told("audit", "search", "--person", "robin", "--as", "decided")
    assert (got, len(out.splitlines())) == (0, 1)
    assert town.approved in out and "APPROVED" in out
    found = json.loads(told("audit", "search", "--state", "pending", "--json")[1])
    assert [one["request"] for one in found] == [town.waiting]
    got, out, err = told("audit", "search", "--resource", "arn:nowhere")
    assert (got, out) == (0, "") and "try fewer options" in err
    got, out, err = told("audit", "search", "--limit", "1")
    assert len(out.splitlines()) == 1 and "there may be more" in err
    assert told("audit", "search", who="caller:other-bot")[1] == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["audit", "search", "--from", "soon"], "'soon' is no time: write a day or moment"),
        (["audit", "search", "--as", "decided"], "write the person, too (--as)"),
        (["audit", "search", "--state", "GONE"], "state is one of PENDING"),
        (["report", "access", "--from", "2026-02-30"], "is no time"),
        (["report", "access", "--from", "1d", "--to", "2d"], "the period is empty"),
        (["report", "access", "--from", "1d", "--csv", "--json"], "exclude each other"),
    ],
    ids=lambda one: " ".join(one[2:4]) if isinstance(one, list) else None,
)
def test_bad_input_names_the_option_and_the_remedy(told: Callable[..., Told], arguments: list[str], words: str) -> None:
    got, out, err = told(*arguments)
    if "--json" in arguments:
        err = out
    assert got == 1
    assert words in err


def test_a_report_comes_as_lines_json_and_csv(town: Town, told: Callable[..., Told]) -> None:
    got, out, _ = told("report", "access", "--from", "1d")
    assert got == 0
    assert "2 asked, 1 approved" in out and "by robin" in out and "from the log up to size" in out
    found = json.loads(told("report", "access", "--from", "1d", "--json")[1])
    assert [one["request"] for one in found["grants"]] == [town.approved]
    assert found["time_zone"] == "UTC"
    rows = list(csv.DictReader(io.StringIO(told("report", "access", "--from", "1d", "--csv")[1], newline="")))
    assert [(one["request"], one["approved_by"]) for one in rows] == [(town.approved, "user:robin")]
    served = town.run(town.web.call("GET", "/v1/reports/access?from=1d&format=csv", who="caller:auditor"))
    assert list(csv.DictReader(io.StringIO(served.body.decode(), newline=""))) == rows
    got, _, err = told("report", "access", "--from", "1d", who=samples.CALLER)
    assert got == 1 and "lacks the scope read" in err
