"""`countersign policy simulate`: over exported files and over a store; the table, the report, the gate."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from approvers.judging import Judge
from approvers.policy import parse_policy
from approvers.simulating import Simulation
from countersign.cli import main
from countersign.commands.common import WrongOption
from countersign.ops.recorded import InFiles, InStore, Unreadable, moment, read
from countersign.ops.simreport import Told, print_report
from countersign.ops.simulate import Wanted, over_store
from tests.approvers.recorded_world import Story, fed
from tests.approvers.rules_world import (
    ALLOW_DEV,
    DENY_DELETES,
    NOON,
    POLICY,
    REVIEW_PII,
    REVIEW_READS,
    ROSTER,
    edited,
    policy,
)
from tests.countersign.ops.conftest import Command
from tests.countersign.ops.conftest import Told as Said
from tests.worlds.samples import POLICY_TEXT, ROSTER_TEXT
from tests.worlds.shortened import shorten
from tests.worlds.web import Web
from workers.policies import apply
from workers.stores.memory import memory_store

TEXT = POLICY + DENY_DELETES + REVIEW_PII + REVIEW_READS + ALLOW_DEV
LOOSER = edited(TEXT, 'effect = "review"\nquorum = "one"', 'effect = "allow"\nuntil = 2027-05-31')
TIGHTER = edited(TEXT, 'effect = "review"\nquorum = "one"', 'effect = "deny"')
Run = Callable[..., Said]


@pytest.fixture
def story() -> Story:
    story = Story(policy(DENY_DELETES, REVIEW_PII, REVIEW_READS, ALLOW_DEV))
    story.approved(story.ask(), "robin")
    story.denied(story.ask(ticket="INC-2"), "dana", "not | this <b>month</b> @channel")
    story.ask(role="dev", environment="dev")
    return story


@pytest.fixture
def run(tmp_path: Path, story: Story, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `policy simulate` over the story, written as a file of records."""

    def running(text: str, *words: object) -> Said:
        (tmp_path / "new.toml").write_text(text)
        (tmp_path / "log.jsonl").write_bytes(b"".join(body + b"\n" for body in story.bodies))
        over = () if "--over" in words else ("--over", tmp_path / "log.jsonl")
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in ("policy", "simulate", tmp_path / "new.toml", *over, *words)])
        told = capsys.readouterr()
        return Said(int(ended.value.code or 0), told.out, told.err)

    return running


def test_the_same_policy_passes_the_gate(run: Run):
    said = run(TEXT, "--fail-on", "any")
    assert (said.code, said.err) == (0, "")
    assert "3 asks replayed, 3 answered the same, 0 differently; a person denied 1" in said.out


def test_a_move_toward_allow_stops_and_says_why(run: Run):
    said = run(LOOSER)
    assert said.code == 1
    assert "would have been allowed without asking: 2, of which people denied 1" in said.out
    assert "stopped: 2 asks move toward allow; 2 would be allowed without asking, of which people denied 1" in said.err
    assert said.out.index("DENIED by") < said.out.index("approved")
    assert run(LOOSER, "--fail-on", "never").code == 0


def test_a_tighter_policy_passes_unless_any_change_stops(run: Run):
    assert run(TIGHTER).code == 0
    said = run(TIGHTER, "--fail-on", "any")
    assert (said.code, "2 asks would be answered differently" in said.err) == (1, True)


@pytest.mark.parametrize("width", [80, 120, 160])
def test_the_table_fits_its_terminal(story: Story, width: int):
    report = fed(Simulation(Judge(parse_policy(LOOSER), "a" * 64)), story.bodies).report()
    out = io.StringIO()
    print_report(Told(report, "new.toml", "a" * 64, "what was recorded", {"sre": 3}), Console(file=out, width=width))
    text = out.getvalue()
    assert max(map(len, text.splitlines())) <= width
    assert ("req_0002" in text) == (width >= 120)
    assert "0.7" in text  # two asks in the worst hour, for three people


def test_json_lists_every_ask_with_its_reason(run: Run):
    found = json.loads(run(LOOSER, "--json").out)
    assert found["asks"] == {"replayed": 3, "same": 1, "changed": 2, "toward_allow": 2}
    assert found["allowed_without_asking"] == {"asks": 2, "denied_by_people": 1}
    (change,) = found["changes"]
    assert (change["change"], change["asks"], change["not_listed"]) == ("review→allow", 2, 0)
    assert [(row["id"], row["denied_by"]) for row in change["listed"]] == [
        ("req_0002", "user:dana"),
        ("req_0001", None),
    ]
    assert change["listed"][0]["why"] == "review-reads (access_level Read, environment prod)"
    assert [(load["group"], load["before"], load["after"]) for load in found["reviewers"]] == [("sre", 2, 0)]


def test_seats_are_told_before_and_after(run: Run):
    said = run(edited(TEXT, 'quorum = "one"\nowner', 'quorum = "two"\nowner'), "--json", "--fail-on", "any")
    (change,) = json.loads(said.out)["changes"]
    assert change["change"] == "more seats"
    assert {(row["was"], row["now"]) for row in change["listed"]} == {
        ("review of 1 sre", "review of 1 security, 1 sre")
    }


def test_markdown_is_stable_and_what_callers_wrote_stays_text(run: Run, tmp_path: Path):
    first, again = tmp_path / "one.md", tmp_path / "two.md"
    run(LOOSER, "--markdown", first)
    run(LOOSER, "--markdown", again)
    text = first.read_text()
    assert text == again.read_text()
    assert "**Would have been allowed without asking: 2, of which people denied 1.**" in text
    assert "not \\| this \\<b\\>month\\</b\\> @\u200bchannel" in text
    rows = [line for line in text.splitlines() if line.startswith("| 2026")]
    assert len(rows) == 2
    assert {line.replace("\\|", "").count("|") for line in rows} == {7}


def test_long_lists_are_cut_and_say_so(run: Run, story: Story, tmp_path: Path):
    for number in range(60):
        story.ask(ticket=f"INC-{number}")
    said = run(LOOSER, "--markdown", tmp_path / "report.md")
    assert "… and 52 more" in said.out
    assert "… and 12 more" in (tmp_path / "report.md").read_text()


def test_a_folder_is_read_file_by_file(run: Run, story: Story, tmp_path: Path):
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "a.jsonl").write_bytes(b"\n".join(story.bodies[:4]))
    (folder / "b.jsonl").write_bytes(b"\n".join(story.bodies[4:]))
    said = run(LOOSER, "--over", folder)
    assert "2, of which people denied 1" in said.out and "not looked at" not in said.err
    (folder / "base.json").write_text('{"heads":{},"peaks":[],"size":1234}')
    assert "The first 1,234 records are not looked at" in run(LOOSER, "--over", folder).err
    (folder / "base.json").write_text("[]")
    assert "not looked at" not in run(LOOSER, "--over", folder).err


@pytest.mark.parametrize(
    ("text", "words", "told"),
    [
        (TEXT.replace("[quorum.one]", "[quorum.on]", 1), (), "new.toml:4: default_quorum: there is no quorum 'one'"),
        (TEXT, ("--over", "nowhere.jsonl"), "nowhere.jsonl is no file (--over)"),
        (TEXT, ("--since", "soon"), "'soon' is no time"),
        (TEXT, ("--against", "in-force"), "no policy is in force here"),
        (TEXT, ("--markdown", "/nowhere/report.md"), "cannot be written"),
    ],
    ids=["policy", "over", "since", "against", "markdown"],
)
def test_each_mistake_is_named(run: Run, text: str, words: tuple[str, ...], told: str):
    said = run(text, *words)
    assert said.code == 1
    assert told in said.err


def test_a_policy_that_does_not_fit_the_roster_is_refused(run: Run, tmp_path: Path):
    roster = edited(ROSTER, 'owners = ["group:security"]', 'owners = ["user:kim"]')
    (tmp_path / "roster.toml").write_text(roster)
    assert run(TEXT, "--roster", tmp_path / "roster.toml").code == 0
    said = run(edited(TEXT, "seats = { sre = 1 }", "seats = { see = 1 }"), "--roster", tmp_path / "roster.toml")
    assert said.code == 1
    assert "there is no group 'see'" in said.err


def test_a_line_that_is_no_record_stops_the_run_and_is_named(run: Run, story: Story):
    story.bodies.insert(1, b"{")
    said = run(TEXT)
    assert said.code == 1
    assert "log.jsonl, line 2: is not JSON" in said.err


def test_a_gate_over_nothing_but_unreadable_asks_does_not_pass(run: Run, story: Story):
    story.bodies = [body.replace(b'"facts":{', b'"facts":{"zodiac":"lion",') for body in story.bodies]
    said = run(TEXT)
    assert said.code == 1
    assert "cannot be replayed: 3" in said.out
    assert "this shows nothing" in said.err


def test_the_policy_in_force_over_a_store_without_asks_changes_nothing(command: Command, tmp_path: Path):
    for name, text in (("policy.toml", POLICY_TEXT), ("countersign.toml", ROSTER_TEXT)):
        (tmp_path / name).write_text(text)
    assert command("apply", tmp_path / "policy.toml", tmp_path / "countersign.toml").code == 0
    said = command("policy", "simulate", tmp_path / "policy.toml", "--against", "in-force", "--json")
    assert (said.code, json.loads(said.out)["asks"]["replayed"]) == (0, 0)


async def test_since_reads_from_there_on(tmp_path: Path):
    time = NOON
    store = memory_store(lambda: time)
    await apply(store.records, policy=POLICY_TEXT, roster=ROSTER_TEXT, by="user:kim", why="test")
    async with Web.over(store, policy="") as web:
        for number in range(6):
            time = NOON + timedelta(days=2 * number)
            assert (await web.ask(f"k{number}", parameters={"n": number})).status == 202
        time += timedelta(hours=1)
        path = tmp_path / "new.toml"
        path.write_text(POLICY_TEXT.replace('effect = "review"\nquorum = "one"\n', 'effect = "deny"\n'))
        told = await over_store(Wanted(path, None, "5d", "1d", "recorded", None), store)
        handles = {
            (await web.call("GET", f"/v1/requests/{row.id}")).json["handle"] for row in told.report.groups[0].listed
        }
    assert told.report.replayed == 2
    assert {row.handle for row in told.report.groups[0].listed} == handles
    assert len(handles) == 2


async def test_a_log_is_read_from_its_own_middle():
    time = NOON
    store = memory_store(lambda: time)
    await apply(store.records, policy=POLICY_TEXT, roster=ROSTER_TEXT, by="user:kim", why="test")
    async with Web.over(store, policy="") as web:
        for number in range(40):
            time = NOON + timedelta(days=number)
            await web.ask(f"k{number}", parameters={"n": number})
    seen: list[bytes] = []
    await read(InStore(store.log, NOON + timedelta(days=35)), seen.append, "")
    days = [json.loads(body)["at"][:10] for body in seen]
    assert days[0] == f"{NOON + timedelta(days=34):%Y-%m-%d}"
    assert len(days) == 6


async def test_of_a_shortened_log_it_reads_what_is_left_and_says_what_is_not(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):  # fmt: skip
    time = NOON
    store = memory_store(lambda: time)
    async with Web.over(store) as web:
        for number in range(3):
            time = NOON + timedelta(days=number)
            await web.ask(f"k{number}", parameters={"n": number})
    gone = await shorten(store, await store.log.size() - 2)
    (path := tmp_path / "new.toml").write_text(POLICY_TEXT)
    told = await over_store(Wanted(path, None, "30d", None, "recorded", None), store)
    assert told.report.replayed == 2
    assert gone.from_reading() in capfd.readouterr().err.replace("\n", " ")
    await over_store(Wanted(path, None, "1d", None, "recorded", None), store)
    assert "taken out" not in capfd.readouterr().err
    seen: list[bytes] = []
    await read(InStore(store.log, None), seen.append, "")
    assert len(seen) == 2


def test_moments_are_spans_days_or_times():
    assert moment("--since", "90d", NOON) == NOON - timedelta(days=90)
    assert moment("--since", "2026-08-01", NOON) == datetime(2026, 8, 1, tzinfo=UTC)
    assert moment("--since", "2026-08-01T10:00:00+02:00", NOON) == datetime(2026, 8, 1, 8, tzinfo=UTC)
    with pytest.raises(WrongOption):
        moment("--since", "last week", NOON)


def test_files_are_read_in_their_order(tmp_path: Path, story: Story):
    with pytest.raises(Unreadable):
        InFiles(tmp_path)
    for name in ("2.jsonl", "1.jsonl", "note.txt"):
        (tmp_path / name).write_bytes(f"{name}\n".encode())
    seen: list[bytes] = []
    asyncio.run(read(InFiles(tmp_path), seen.append, ""))
    assert seen == [b"1.jsonl\n", b"2.jsonl\n"]
