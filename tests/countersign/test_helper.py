"""`credential-process`: what it prints when, whose credential, what it says when there is none, and what it loads."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from countersign import BadAnswer, Client, CountersignError, Unreachable, helper
from countersign.clock import clock_ahead
from countersign.looking import Looking
from tests.countersign.conftest import ACCESS, ASK, clean_environ
from tests.worlds.intake import API_KEY, IntakeWorld
from tests.worlds.intake_rows import SECRET

END = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
HOUR, QUARTER = timedelta(hours=1), timedelta(minutes=15)


def granted(world: IntakeWorld, blocking: Client, ttl_seconds: int = 900, **more) -> str:
    world.rows.submit_as = "APPROVED"
    ask = {**ASK, "ttl_seconds": ttl_seconds, **more}
    return blocking.request(**ask, access=ACCESS, sealed=False).grant.id


def printed(world: IntakeWorld, grant: str, **how) -> dict:
    return helper.printed(grant, environ=world.environ, **how)


def key_of(n: int) -> dict[str, str]:
    return {**SECRET, "access_key_id": f"ASIA{n}"}


def test_it_prints_what_an_sdk_reads_the_same_each_time(world, blocking):
    grant = granted(world, blocking)
    first = printed(world, grant)
    assert first == {
        "Version": 1,
        "AccessKeyId": SECRET["access_key_id"],
        "SecretAccessKey": SECRET["secret_access_key"],
        "SessionToken": SECRET["session_token"],
    }
    assert printed(world, grant.replace("grt_", "req_")) == first


@pytest.mark.parametrize(
    ("ttl_seconds", "follow", "early"),
    [(4, False, None), (900, False, None), (901, False, 0), (3600, False, 0),
     (60, True, 6), (900, True, 30), (3600, True, 30)],
    ids=["4 s", "15 min", "over 15 min", "1 h", "1 min, follow", "15 min, follow", "1 h, follow"],
)  # fmt: skip
def test_it_names_an_expiration_where_asking_again_helps(world, blocking, ttl_seconds, follow, early):
    got = printed(world, granted(world, blocking, ttl_seconds), follow=follow).get("Expiration")
    ends_at = datetime.fromisoformat(world.row()["grant"]["ends_at"])
    expected = None if early is None else f"{ends_at - timedelta(seconds=early):%Y-%m-%dT%H:%M:%SZ}"
    assert got == expected


@pytest.mark.parametrize(
    ("before", "ttl", "early"),
    [(HOUR, HOUR, 30), (timedelta(seconds=61), HOUR, 30), (timedelta(seconds=60), HOUR, 0), (timedelta(0), HOUR, 0),
     (timedelta(minutes=1), timedelta(minutes=1), 6), (timedelta(seconds=11), timedelta(minutes=1), 0)],
    ids=["all of an hour", "61 s of an hour", "60 s of an hour", "none", "all of a minute", "11 s of a minute"],
)  # fmt: skip
def test_an_sdk_looks_again_before_the_end_and_then_uses_what_is_left(before, ttl, early):
    assert helper.ask_again_at(END, ttl, END - before) == END - timedelta(seconds=early)


def test_follow_finds_the_newest_that_is_live(world, blocking):
    first = granted(world, blocking)
    second = granted(world, blocking, extends=first)
    third = granted(world, blocking, extends=second)
    world.rows.secrets.update({grant: key_of(n) for n, grant in enumerate((first, second, third), 1)})
    assert printed(world, first)["AccessKeyId"] == "ASIA1"
    assert printed(world, first, follow=True)["AccessKeyId"] == "ASIA3"
    world.end(request=first.replace("grt_", "req_"))
    assert printed(world, first, follow=True)["AccessKeyId"] == "ASIA3"
    world.end(request=third.replace("grt_", "req_"))
    assert printed(world, first, follow=True)["AccessKeyId"] == "ASIA2"
    world.end(request=second.replace("grt_", "req_"), reason="enough")
    with pytest.raises(CountersignError, match=r"K702 was ended"):
        printed(world, first, follow=True)


def test_after_the_end_it_says_why_and_by_whom(world, blocking, capfd):
    grant = granted(world, blocking)
    world.end(reason="looks wrong\x1b[2J")
    assert helper.main([grant], world.environ) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("countersign: The credential of K700 was ended (revoke by user:robin: looks wrong [2J).")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("play", "code", "words"),
    [
        (IntakeWorld.deny, 3, "not now"),
        (IntakeWorld.expire, 4, "Nobody said no"),
        (IntakeWorld.withdraw, 5, "Stop."),
        (lambda world: world.expire("nobody_reached"), 6, "Nobody said no"),
    ],
    ids=["denied", "expired", "withdrawn", "nobody reached"],
)
def test_what_was_not_approved_has_its_own_code_and_words(world, blocking, capfd, play, code, words):
    asked = blocking.request(**ASK, access=ACCESS, sealed=False)
    play(world)
    assert helper.main([asked.id], world.environ) == code
    out, err = capfd.readouterr()
    assert (out, words in err) == ("", True)


def test_it_waits_for_an_answer(world, blocking, spawn):
    asked = blocking.request(**ASK, access=ACCESS, sealed=False)
    process = spawn("credential-process", asked.id)
    world.wait_for_call(f"GET /v1/requests/{asked.id}")
    world.approve()
    out, err = process.communicate(timeout=60)
    assert json.loads(out)["AccessKeyId"] == SECRET["access_key_id"], err


@pytest.mark.parametrize(
    ("more", "words"),
    [({"sealed": True, "access": ACCESS}, "--extend"), ({}, "approval without a credential")],
    ids=["sealed to another process", "no credential at all"],
)
def test_what_it_cannot_print_it_says_with_a_remedy(world, blocking, more, words):
    world.rows.submit_as = "APPROVED"
    asked = blocking.request(**ASK, **more)
    with pytest.raises(CountersignError, match=words):
        printed(world, asked.id)


def test_variables_of_what_is_no_aws_session_are_not_printed(world, blocking):
    grant = granted(world, blocking)
    world.rows.secrets[grant] = {"environment": {"PGPASSWORD": "canary"}}
    with pytest.raises(CountersignError, match="countersign run") as refused:
        printed(world, grant)
    assert "canary" not in str(refused.value)


def test_trouble_that_passes_costs_only_time(world, blocking):
    grant = granted(world, blocking)
    world.answer_next("/credential", 503, times=2)
    world.drop_next(grant.replace("grt_", "req_"))
    assert printed(world, grant)["AccessKeyId"] == SECRET["access_key_id"]


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [(200, "<html>", BadAnswer), (302, "", BadAnswer), (500, "<html>", CountersignError), (200, "{}", BadAnswer)],
    ids=["no JSON", "a redirect", "a fault", "no request"],
)
def test_what_is_no_answer_is_no_credential(world, blocking, status, body, error):
    grant = granted(world, blocking)
    world.answer_next(grant.replace("grt_", "req_"), status, body=body)
    with pytest.raises(error):
        printed(world, grant)


def test_an_absent_server_is_told_with_its_address(world):
    world.stop()
    with Looking(world.url, API_KEY, 0.2) as look, pytest.raises(Unreachable, match=r"127\.0\.0\.1"):
        look.settled("grt_1")


@pytest.mark.parametrize(
    ("words", "told"),
    [([], "Missing argument 'GRANT'"), (["grt_1", "grt_2"], "unexpected extra argument"),
     (["--nonsense"], "--nonsense"), (["--url"], "--url"), (["grt_1", "--url", "example.com"], "https://")],
    ids=["nothing", "two", "an unknown option", "an option without its value", "an address that is none"],
)  # fmt: skip
def test_wrong_words_get_the_remedy_of_the_whole_command_line(command, words, told):
    if words[-1:] != ["example.com"]:
        assert helper.main(words) is None
    code, out, err = command("credential-process", *words)
    assert (code, out) == (1, "")
    assert told in err


def test_it_reads_its_options_in_any_order(world, blocking, capfd):
    grant = granted(world, blocking)
    environ = {"COUNTERSIGN_API_KEY": world.environ["COUNTERSIGN_API_KEY"]}
    assert helper.main(["--follow", "--url", world.url, grant], environ) == 0
    assert "Expiration" in json.loads(capfd.readouterr().out)


def test_it_loads_the_standard_library_alone(world, blocking):
    grant = granted(world, blocking)
    code = (
        "import sys; sys.argv = ['countersign', 'credential-process', sys.argv[1]]\n"
        "import atexit; atexit.register(lambda: print(*{m.partition('.')[0] for m in sys.modules}, file=sys.stderr))\n"
        "import countersign.__main__"
    )
    environ = {**clean_environ(), **world.environ}
    done = subprocess.run([sys.executable, "-c", code, grant], env=environ, capture_output=True, text=True, timeout=60)
    assert json.loads(done.stdout)["Version"] == 1
    assert not set(done.stderr.split()) & {"pydantic", "aiohttp", "typer", "rich", "cryptography", "asyncio", "yarl"}


@pytest.mark.parametrize(
    ("theirs", "ahead"),
    [(0, 0), (3, 0), (-3, 0), (300, 300), (-300, -300), (4, 4)],
    ids=["same", "rounding", "rounding back", "ahead", "behind", "just more"],
)
def test_another_clock_is_told_by_the_date_of_an_answer(theirs, ahead):
    date = format_datetime(END + timedelta(seconds=theirs), usegmt=True)
    assert clock_ahead(date, HOUR, END) == timedelta(seconds=ahead)


@pytest.mark.parametrize("date", [None, "", "yesterday"])
def test_without_a_date_the_last_one_counts(date):
    assert clock_ahead(date, QUARTER, END) == QUARTER
