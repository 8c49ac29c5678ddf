import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from approvers.audit import By
from bot.commits import Click
from bot.deps import make_desk
from bot.directory import Directory
from bot.identity import Identity
from bot.reading import Reader
from countersign.ops.fittings import demo_file
from tests.countersign.ops.conftest import Command
from tests.worlds.valkey import Valkey
from workers.policies import Policies
from workers.stores.redis import connect

POLICY, ROSTER = demo_file("policy.toml"), demo_file("countersign.toml")
Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def writing(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return writing


@pytest.fixture
def both(write: Write) -> tuple[Path, Path]:
    return write("policy.toml", POLICY), write("countersign.toml", ROSTER)


def records(valkey: Valkey, key: str) -> dict[str, object]:
    with valkey.client() as client:
        body = client.hget(f"{{cs}}:record:{key}", "j")
    return json.loads(body) if body else {}


def sys_chain(valkey: Valkey) -> list[dict[str, object]]:
    with valkey.client() as client:
        return [json.loads(body) for body in client.lrange("{cs}:audit:sys", 0, -1)]


def test_both_files_are_put_into_force_with_who_and_why(command: Command, both, empty_valkey: Valkey) -> None:
    told = command("apply", *both, "--by", "lena", "--why", "the first one")
    assert told.code == 0
    assert told.err.count("in force, sha256") == 2
    for key, text in (("config:policy", POLICY), ("config:roster", ROSTER)):
        record = records(empty_valkey, key)
        assert (record["text"], record["by"], record["why"]) == (text, "lena", "the first one")
    assert [(one["type"], one["by"]["person"]) for one in sys_chain(empty_valkey)] == [
        ("policy.applied", "lena"),
        ("roster.applied", "lena"),
    ]


def test_applying_the_same_again_changes_and_records_nothing(command: Command, both, empty_valkey: Valkey) -> None:
    command("apply", *both)
    before = sys_chain(empty_valkey)
    told = command("apply", *both)
    assert told.code == 0
    assert told.err.count("nothing changed") == 2
    assert sys_chain(empty_valkey) == before


SHORTER = POLICY.replace('prod = "1h"', 'prod = "30m"')


def test_a_change_is_told_in_meaning_and_with_text_line_by_line(command: Command, both, write: Write) -> None:
    command("apply", *both)
    told = command("apply", write("new.toml", SHORTER), "--why", "incident 7")
    assert told.code == 0
    assert told.out.splitlines() == ["limits: ttl_max prod: 1 h → 30 min  (STRICTER)"]
    told = command("apply", both[0], "--why", "over", "--text")
    assert told.out.splitlines()[0] == "limits: ttl_max prod: 30 min → 1 h  (LOOSER)"
    changed = [line for line in told.out.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    assert [line[0] for line in changed] == ["-", "+"]
    assert 'prod = "1h"' in changed[1]


def test_a_comment_is_a_change_that_means_nothing(command: Command, both, write: Write) -> None:
    command("apply", *both)
    told = command("apply", write("new.toml", POLICY + "# for the new ones\n"), "--why", "words")
    assert (told.code, told.out.strip()) == (0, "nothing changes in meaning")


def test_a_change_of_what_is_in_force_needs_a_reason(
    command: Command, both, write: Write, empty_valkey: Valkey
) -> None:
    command("apply", *both)
    told = command("apply", write("new.toml", SHORTER), "--why", "  ")
    assert told.code == 1
    assert "--why" in told.err and "nothing was applied" in told.err
    assert records(empty_valkey, "config:policy")["text"] == POLICY


def test_a_long_change_is_cut_and_counted(command: Command, both, write: Write) -> None:
    command("apply", *both)
    people = "".join(f'\n[person.p{n}]\nemail = "p{n}@example.com"\n' for n in range(70))
    told = command("apply", write("more.toml", ROSTER + people), "--why", "more people")
    assert told.code == 0
    assert told.out.splitlines()[-1] == "… and 10 lines more"


def test_a_warning_is_told_and_stops_nothing(command: Command, both) -> None:
    told = command("apply", *both)
    assert told.code == 0
    assert "policy.toml:" in told.err and "warning: rule.review-knock.when.action[0]" in told.err


def test_where_others_have_to_approve_the_change_is_asked_for_and_applied_after(
    command: Command, both, write: Write, empty_valkey: Valkey
) -> None:
    command("apply", write("policy.toml", POLICY + '\n[apply]\nquorum = "one"\n'), both[1])
    new = write("new.toml", SHORTER + '\n[apply]\nquorum = "one"\n')
    change = ("apply", new, "--by", "dana", "--why", "incident 7")
    told = command(*change)
    assert told.code == 1
    assert "wants the yes of one" in told.err and "needs 1 of sre. Nothing is applied yet" in told.err
    assert 'prod = "30m"' not in str(records(empty_valkey, "config:policy")["text"])
    request = told.err.partition("(req_")[2].partition(")")[0]
    assert request and command(*change).err.count(request) == 1  # the same ask, not another one
    asyncio.run(_approve(empty_valkey.url, f"req_{request}", "robin"))
    told = command(*change)
    assert told.code == 0, told.err
    assert 'prod = "30m"' in str(records(empty_valkey, "config:policy")["text"])
    assert records(empty_valkey, "config:policy")["by"] == "user:dana"
    assert command(*change).err.count("nothing changed") == 1


async def _approve(url: str, request: str, name: str) -> None:
    store = await connect(url, durability="attested")
    try:
        policies, reader = Policies(store.records, store.signals), Reader(store)
        await policies.refresh()
        desk = make_desk(store, policies, reader, Directory(policies))
        who = Identity(f"user:{name}", frozenset({"review"}), By(f"user:{name}", "api-key", name), "api")
        await desk.review(Click(who, request, "approve"))
    finally:
        await store.aclose()


def test_the_first_apply_needs_both(command: Command, both) -> None:
    told = command("apply", both[0])
    assert told.code == 1
    assert "the first apply needs both files: add countersign.toml" in told.err


MISTAKES = [
    # which file, what is replaced, by what, what is told
    (
        "policy",
        'quorum = "two"',
        'quorm = "two"',
        ["policy.toml:", "rule.review-writes.quorm", "'quorum'?"],
    ),
    ("policy", 'effect = "allow"', 'effect = "alow"', ["policy.toml:", "rule.allow-bucket-names.effect", "'allow'"]),
    ("policy", "sre = 2", "sra = 2", ["policy.toml:", "quorum.two.seats.sra", "did you mean 'sre'"]),
    ("policy", "sre = 2", "sre = 9", ["policy.toml:", "quorum.two.seats.sre", "ask for fewer"]),
    ("policy", "version        = 1", "version        = 7", ["policy.toml:3:", "version", "1"]),
    ("policy", "[limits]", "[limits", ["policy.toml:", "not TOML"]),
    ("policy", "[limits]", "[break_glass]\nfor = 1\n[limits]", ["policy.toml:", "break_glass.for", "no such key"]),
    (
        "policy",
        '"*:Delete*"',
        '"s3:Deleet*"',
        ["policy.toml:", "fits no action that there is; did you mean 's3:Delete"],
    ),
    (
        "countersign",
        'owners       = ["user:dana"]',
        'owners = ["group:sre"]',
        ["countersign.toml:", "caller.report-bot", "too few others are left"],
    ),
    ("countersign", '"dana", "robin"', '"dana", "robn"', ["countersign.toml:", "group.sre.people[1]", "robin"]),
    ("countersign", "[account.prod-payments]", "[acount.prod-payments]", ["countersign.toml:", "acount"]),
    ("countersign", '"prod"', '"production"', ["countersign.toml:", "account.prod-payments.environment", "prod"]),
    ("countersign", "000000000000:role", "111111111111:role", ["countersign.toml:", "role.analytics.arn"]),
]


@pytest.mark.parametrize(("file", "old", "new", "words"), MISTAKES, ids=[row[2][:24] for row in MISTAKES])
def test_a_mistake_is_told_with_file_line_place_and_remedy(
    command: Command, both, write: Write, empty_valkey: Valkey, file: str, old: str, new: str, words: list[str]
) -> None:
    command("apply", *both)
    before = records(empty_valkey, "config:policy"), records(empty_valkey, "config:roster"), sys_chain(empty_valkey)
    text = POLICY if file == "policy" else ROSTER
    assert old in text
    told = command("apply", write(f"{file}.toml", text.replace(old, new)))
    assert told.code == 1
    assert "nothing was applied" in told.err
    for word in words:
        assert word in told.err
    line = next(line for line in told.err.splitlines() if f"{file}.toml:" in line)
    number = int(line.split(f"{file}.toml:")[1].split(":")[0])
    assert number > 0
    after = records(empty_valkey, "config:policy"), records(empty_valkey, "config:roster"), sys_chain(empty_valkey)
    assert after == before


def test_mistakes_in_both_files_are_told_at_once(command: Command, write: Write) -> None:
    policy = write("policy.toml", POLICY.replace('effect = "deny"', 'effect = "dney"'))
    roster = write("countersign.toml", ROSTER.replace('"dana", "robin"', '"dana", "robn"'))
    told = command("apply", policy, roster)
    assert told.code == 1
    assert "3 mistakes; nothing was applied" in told.err
    assert str(policy) in told.err
    assert str(roster) in told.err


def test_what_one_file_breaks_in_the_other_is_told_of_the_file_in_force(command: Command, both, write: Write) -> None:
    command("apply", *both)
    told = command(
        "apply",
        write("countersign.toml", ROSTER.replace("[group.sre]", "[group.ops]").replace('["sre"]', '["ops"]')),
        "--why",
        "renamed",
    )
    assert told.code == 1
    assert "policy.toml in force:" in told.err
    assert "there is no group 'sre'" in told.err


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("nothing.toml", None, "cannot be read"),
        ("latin.toml", b"version = 1\n# caf\xe9\n", ":2: not UTF-8"),
        (
            "other.toml",
            b"[tool.ruff]\nx = 1\n",
            "nor a policy.toml: it has the sections tool",
        ),
        ("empty.toml", b"", "no section at all"),
    ],
)
def test_a_file_that_is_none_of_the_two_is_refused(
    command: Command, tmp_path: Path, name: str, content: bytes | None, words: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    told = command("apply", tmp_path / name)
    assert told.code == 1
    assert words in told.err


def test_one_kind_of_file_twice_is_refused(command: Command, both, write: Write) -> None:
    told = command("apply", *both, write("again.toml", POLICY))
    assert told.code == 1
    assert "are both a policy.toml" in told.err


def test_without_a_store_it_says_which_settings_to_give(
    command: Command, both, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("COUNTERSIGN_REDIS_URL")
    monkeypatch.chdir(tmp_path)
    told = command("apply", *both)
    assert told.code == 1
    assert "Set COUNTERSIGN_REDIS_URL, or name the folder of a running demo with --state DIR" in told.err
    told = command("apply", *both, "--state", tmp_path)
    assert "no demo runs on" in told.err


def test_an_absent_store_is_our_fault_not_a_mistake_in_the_files(
    command: Command, both, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUNTERSIGN_REDIS_URL", "redis://127.0.0.1:1/0")
    told = command("apply", *both)
    assert told.code == 6
    assert "the store cannot be used" in told.err
    assert "COUNTERSIGN_REDIS_URL" in told.err
