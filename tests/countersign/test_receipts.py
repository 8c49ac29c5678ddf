"""A receipt is believed for one reason only, and every other text is refused in words."""

from __future__ import annotations

import base64
import json
import string
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import countersign
from approvers import receipts as claimed
from approvers.errors import Malformed
from countersign import AsyncClient, BadReceipt, BadSetting, receipts, requires_approval, verify_receipt
from countersign.cli import main
from countersign.receipts import MOST_CHARS
from tests.countersign.conftest import ASK
from tests.worlds.intake import API_KEY, IntakeWorld
from tests.worlds.receipts import HEADER, KEY, ORIGIN, OTHER, ROTATED, Key, claims, text
from workers import jws

DAY = timedelta(days=1)
FUTURE = datetime.now(UTC) + DAY
"""Further away than a run of the tests is long, which may read this file at its beginning and be slow."""
GOOD = KEY.jws(claims(iat=int((FUTURE - DAY).timestamp()), exp=int(FUTURE.timestamp())))
HEAD, BODY, SIGNATURE = GOOD.split(".")


def why(jws: Any, **expected: Any) -> str:
    """Return the part at fault; that there is one is checked."""
    with pytest.raises(BadReceipt, match=r"^The receipt is not good: .*\.$") as caught:
        verify_receipt(jws, **{"key": KEY.verifier, **expected})
    assert len(caught.value.detail) < 400
    return str(caught.value.field)


def test_a_good_one_is_believed_and_says_everything():
    said = verify_receipt(GOOD, key=KEY.verifier, action_digest="sha256:" + "a" * 64, request=claims()["sub"])
    assert (said.iss, said.decision, said.because) == (ORIGIN, "APPROVED", "quorum")
    assert (said.log.size, said.log.root) == (4_711, "c" * 64)
    assert [(one.person, one.verdict, one.seat_of) for one in said.reviewers] == [("user:robin", "approve", None)]
    assert said.exp - said.iat == DAY
    assert verify_receipt(f"  {GOOD}\n", key=[OTHER.verifier, KEY.verifier]) == said


def test_what_is_taken_is_what_is_signed():
    """Written twice, so that a caller's process need not load the rules."""
    assert (receipts.ALGORITHM, receipts.TYPE) == (jws.ALGORITHM, claimed.TYPE)
    code = "import sys, countersign.client; assert 'approvers.request' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_another_implementation_reads_the_same():
    raw = jwt.decode(GOOD, KEY.private.public_key(), algorithms=["EdDSA"], issuer=ORIGIN)
    assert raw["log"] == {"size": 4_711, "root": "c" * 64}
    theirs = jwt.encode(claims(), KEY.private, "EdDSA", headers={"typ": HEADER["typ"], "kid": KEY.id})
    assert verify_receipt(theirs, key=KEY.verifier).action == "payments:Refund"


def test_a_field_that_a_newer_server_adds_is_kept():
    assert verify_receipt(KEY.jws(claims(tenant="eu")), key=KEY.verifier).model_extra == {"tenant": "eu"}


def test_what_it_must_say_is_the_executors():
    assert why(GOOD, action_digest="sha256:" + "f" * 64) == "action_digest"
    assert why(GOOD, request="req_1") == "sub"
    assert why(KEY.jws(claims(decision="DENIED"))) == "decision"
    assert why(GOOD, decision="DENIED") == "decision"
    assert verify_receipt(KEY.jws(claims(decision="DENIED")), key=KEY.verifier, decision=None).decision == "DENIED"


def test_it_stands_from_its_signature_to_its_end():
    late = int(FUTURE.timestamp())
    assert why(GOOD, at=datetime.fromtimestamp(late, UTC)) == "exp"
    assert verify_receipt(GOOD, key=KEY.verifier, at=datetime.fromtimestamp(late - 60, UTC)).decision == "APPROVED"
    old = KEY.jws(claims(exp=int(datetime.now(UTC).timestamp())))
    assert why(old) == "exp"
    assert verify_receipt(old, key=KEY.verifier, decision=None).sub == claims()["sub"], "who looks back does not act"
    assert why(KEY.jws(claims(iat=int(FUTURE.timestamp()), exp=int(FUTURE.timestamp()) + 900))) == "iat"


def test_only_a_key_that_is_given_counts():
    assert why(GOOD, key=OTHER.verifier) == "kid"
    assert why(OTHER.jws(claims())) == "kid"
    assert why(OTHER.jws(claims(), kid=KEY.id)) == "signature"
    assert why(KEY.jws(claims(iss="other.invalid/log"))) == "iss"


def test_after_a_rotation_the_new_key_signs_for_the_old_name():
    signed = ROTATED.jws(claims())
    assert verify_receipt(signed, key=[KEY.verifier, ROTATED.verifier]).iss == ORIGIN
    assert verify_receipt(signed, key=f"{KEY.verifier}\n{ROTATED.verifier}\n").iss == ORIGIN
    assert why(signed, key=ROTATED.verifier) == "iss"
    assert why(signed) == "kid"


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("alg", {"alg": "none"}),
        ("alg", {"alg": "HS256"}),
        ("alg", {"alg": "Ed25519"}),
        ("alg", {"alg": "eddsa"}),
        ("alg", {"alg": None}),
        ("alg", {"alg": ["EdDSA"]}),
        ("typ", {"typ": "JWT"}),
        ("typ", {"typ": None}),
        ("kid", {"kid": "00000000"}),
        ("kid", {"kid": None}),
        ("kid", {"kid": {"a": 1}}),
        ("jws", {"crit": ["exp"], "exp": 1}),
        ("jws", {"jwk": {"kty": "OKP"}}),
        ("jws", {"b64": False}),
    ],
    ids=str,
)
def test_one_algorithm_one_type_and_no_more_in_the_header(name: str, header: dict[str, Any]):
    assert why(KEY.jws(claims(), **header)) == name


def test_a_key_signed_with_as_if_it_were_a_secret_is_no_key():
    secret = KEY.verifier.encode()
    forged = jwt.encode(claims(), secret, "HS256", headers={"typ": HEADER["typ"], "kid": KEY.id})
    assert why(forged) == "alg"
    unsigned = ".".join((text(json.dumps({**HEADER, "alg": "none", "kid": KEY.id}).encode()), GOOD.split(".")[1], ""))
    assert why(unsigned) == "jws"


@pytest.mark.parametrize("payload", [b"", b"[]", b"7", b"\xff", b"[" * 5_000, b'{"iss":"a","iss":"b"}', b'{"iss":NaN}'])
def test_what_is_signed_and_is_no_object_is_refused_too(payload: bytes):
    assert why(KEY.token({**HEADER, "kid": KEY.id}, payload or b" ")) == "jws"


@pytest.mark.parametrize("name", sorted(claims()))
def test_every_claim_is_needed(name: str):
    rest = claims()
    del rest[name]
    assert why(KEY.jws(rest)).partition(".")[0] == name
    if name not in ("granted_digest", "grant", "ttl_seconds"):
        assert why(KEY.jws(claims(**{name: None}))).partition(".")[0] == name


def test_no_bit_can_be_changed():
    """One bit of each character, the spare ones of the last base64 digits included."""
    for at in range(len(GOOD)):
        changed = GOOD[:at] + chr(ord(GOOD[at]) ^ 1) + GOOD[at + 1 :]
        assert why(changed), at


def test_nor_a_bit_that_base64_does_not_use():
    """The last of the signature's 86 characters has four bits to spare: decoded laxly, 15 others stand for the same."""
    digits = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    last = digits.index(GOOD[-1])
    assert last % 16 == 0
    for spare in range(1, 16):
        changed = GOOD[:-1] + digits[last + spare]
        assert base64.urlsafe_b64decode(changed.split(".")[2] + "==") == base64.urlsafe_b64decode(SIGNATURE + "==")
        assert why(changed) == "jws"


@given(st.integers(0, len(GOOD) - 1))
def test_no_part_of_one_is_one(length: int):
    assert why(GOOD[:length]) in ("jws", "signature")


WEIRD = st.one_of(
    st.text(max_size=300),
    st.binary(max_size=200).map(text),
    st.lists(st.binary(max_size=80).map(text), min_size=3, max_size=3).map(".".join),
    st.binary(max_size=300).map(lambda raw: f"{HEAD}.{text(raw)}.{SIGNATURE}"),
    st.dictionaries(st.sampled_from(["alg", "typ", "kid", "x"]), st.none() | st.booleans() | st.text()).map(
        lambda header: f"{text(json.dumps(header).encode())}.{BODY}.{SIGNATURE}"
    ),
)


@given(WEIRD)
@example("")
@example("..")
@example(f"{GOOD}.")
@example(f"{GOOD}.{SIGNATURE}")
@example(GOOD.replace(".", ".."))
@example(GOOD + "=")
@example(GOOD + "é")
@example("é" * 40)
@example(f"{HEAD}.{BODY}.{SIGNATURE[:-1]}٣")
@example("A" * 1_000_000)
@example(f"{HEAD}.{'A' * 1_000_000}.{SIGNATURE}")
@example(text(b"[" * 40_000) + f".{BODY}.{SIGNATURE}")
@example(f"{HEAD}.{BODY} {BODY}.{SIGNATURE}")
@example(f"{HEAD}\n.{BODY}.{SIGNATURE}")
def test_whatever_else_it_is_the_answer_is_a_word(jws: str):
    assert why(jws)


NO_TEXT = {"none": None, "number": 7, "bytes": GOOD.encode(), "list": [GOOD], "too long": "x" * (MOST_CHARS + 1)}


@pytest.mark.parametrize("jws", NO_TEXT.values(), ids=NO_TEXT)
def test_what_is_no_text_is_no_receipt(jws: Any):
    assert why(jws) == "jws"


NO_KEYS = ["", "  ", [], "nonsense", "a+b", "a+b+c", KEY.verifier[:-4], KEY.verifier.replace(KEY.id, "0" * 8)]


@pytest.mark.parametrize("key", NO_KEYS, ids=str)
def test_a_key_that_is_none_is_told_apart_from_a_bad_receipt(key: Any):
    with pytest.raises(Malformed, match="key"):
        verify_receipt(GOOD, key=key)


# --- what the client does with it ---


def receipted(world: IntakeWorld, by: Key = KEY, **changes: Any) -> None:
    """Have approved actions receipted, with claims changed."""

    def receipt(row: dict[str, Any]) -> dict[str, Any]:
        said = {"sub": row["id"], "action": row["action"], "resource": row["resource"],
                "action_digest": row["action_digest"], **changes}  # fmt: skip
        return {"jws": by.jws(claims(**said)), "log": {"size": 4_711, "root": "c" * 64}, "at": "2026-11-20T10:00:00Z"}

    world.rows.receipt = receipt


@pytest.fixture
async def strict(world: IntakeWorld):
    async with AsyncClient(world.url, API_KEY, patience_seconds=10, verify_key=KEY.verifier) as client:
        yield client


async def test_with_a_key_the_receipt_is_checked_before_the_approval_is_consumed(world, strict):
    world.rows.submit_as = "APPROVED"
    receipted(world)
    request = await strict.request(**ASK, wait=5)
    said = await strict.receipt(request)
    assert (said.sub, request.receipt.log["size"]) == (request.id, 4_711)
    assert (await strict.consume(request)).raw()["consumed_at"]
    assert (await strict.consume(await strict.request(**{**ASK, "reason": "again"}, wait=5))).raw()["consumed_at"]


async def test_an_approval_that_came_before_its_receipt_is_read_once_more(world, client):
    world.rows.submit_as = "APPROVED"
    request = await client.request(**ASK, wait=5)
    assert (request.approved, request.receipt) == (True, None), "no clock signs here, and nobody waits for one for ever"
    assert [call.split()[0] for call in world.calls] == ["POST", "GET"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"decision": "DENIED"}, "decision"),
        ({"action_digest": "sha256:" + "0" * 64}, "action_digest"),
        ({"sub": "req_of_somebody_else"}, "sub"),
        ({"by": OTHER}, "kid"),
        ({"exp": 1_800_000}, "exp"),
        (None, "jws"),
    ],
    ids=["denied", "another action", "another request", "another key", "expired", "no receipt"],
)
async def test_what_is_no_proof_is_not_consumed(world, strict, changes, field):
    world.rows.submit_as = "APPROVED"
    if changes is not None:
        receipted(world, **changes)
    request = await strict.request(**ASK)
    with pytest.raises(BadReceipt) as caught:
        await strict.consume(request)
    assert caught.value.field == field
    assert world.row()["consumed_at"] is None
    assert not any(call.endswith("/consume") for call in world.calls)


def guarded(client: AsyncClient, **more: Any) -> tuple[Callable[[str], Any], list[str]]:
    done: list[str] = []
    fields = {name: ASK[name] for name in ("environment", "actor")}

    @requires_approval(client=client, action="payments:Refund", resource="order:{order}", **fields, **more)
    async def refund(order: str) -> str:
        done.append(order)
        return order

    return refund, done


async def test_a_guarded_function_runs_on_a_receipt_about_its_very_arguments(world, client, strict):
    world.rows.submit_as = "APPROVED"
    receipted(world)
    for refund, done in (guarded(strict), guarded(client, verify_key=KEY.verifier)):
        assert (await refund("A7"), done) == ("A7", ["A7"])


async def test_a_server_that_answers_with_the_approval_of_something_else_is_found_out(world, strict):
    """Its answer and its receipt agree with each other; the digest of what is about to be done agrees with neither."""
    world.rows.submit_as = "APPROVED"
    world.rows.digest = lambda action: "sha256:" + "0" * 64
    receipted(world)
    refund, done = guarded(strict)
    with pytest.raises(BadReceipt, match="another action"):
        await refund("A7")
    assert done == []
    assert world.row()["consumed_at"] is None


async def test_the_key_comes_from_the_environment_and_a_wrong_one_is_named(world, monkeypatch):
    environ = {**world.environ, "COUNTERSIGN_VERIFY_KEY": KEY.verifier}
    async with AsyncClient.from_environ(environ) as client:
        assert client.verify_key == KEY.verifier
    with countersign.Client.from_environ(environ) as blocking:
        assert blocking.aio.verify_key == KEY.verifier
    async with AsyncClient.from_environ(world.environ) as client:
        assert client.verify_key is None
        with pytest.raises(BadSetting, match="verify_key"):
            await client.receipt("req_1")
    with pytest.raises(BadSetting) as caught:
        AsyncClient(world.url, API_KEY, verify_key="nonsense")
    assert caught.value.field == "verify_key"


# --- the command ---


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["receipt", "verify", *arguments])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "keys").write_text(f"{OTHER.verifier}\n{KEY.verifier}\n")
    (tmp_path / "receipt").write_text(GOOD + "\n")
    return tmp_path / "receipt"


def test_the_command_says_what_it_believes(file, capsys):
    code, out, _ = run(capsys, str(file), "--key", KEY.verifier)
    assert code == 0
    for part in ("good: req_01JD3ZK6B1V6Q0X5R1ZC0W3E7H was APPROVED", "payments:Refund", "robin", "4,711", "c" * 64):
        assert part in out
    code, out, _ = run(capsys, str(file), "--key", f"@{file.parent / 'keys'}", "--json")
    assert (code, json.loads(out)["good"], json.loads(out)["log"]["size"]) == (0, True, 4_711)


def test_the_command_tells_an_auditor_who_stood_in_for_what_and_whether_it_is_over(file, capsys):
    key, now = ("--key", f"@{file.parent / 'keys'}"), int(datetime.now(UTC).timestamp())
    reviewers = [{"person": "user:robin", "verdict": "approve", "seat_of": "user:dana"}]
    past = {"iat": now - 7_200, "exp": now - 3_600, "reviewers": reviewers, "grant": "grt_1"}
    file.write_text(KEY.jws(claims(**past)))
    code, out, _ = run(capsys, str(file), *key, "--decision", "any")
    assert code == 0
    for part in ("user:robin (approve, in the place of user:dana)", "for 15 min, as grt_1", f"with the key {KEY.id}"):
        assert part in out
    assert out.splitlines()[-2].endswith("Z, which is over")
    assert json.loads(run(capsys, str(file), *key, "--decision", "any", "--json")[1])["over"] is True
    file.write_text(KEY.jws(claims(decision="DENIED", because="reviewer", good=False)))
    _, out, _ = run(capsys, str(file), *key, "--decision", "denied")
    assert ("was DENIED" in out, "; not to be acted upon" in out) == (True, True)
    told = json.loads(run(capsys, str(file), *key, "--decision", "any", "--json")[1])
    assert (told["good"], told["key"], told["over"]) == (True, KEY.id, False)


@pytest.mark.timeout(20)
def test_a_file_without_an_end_is_not_read_to_it(capsys):
    assert run(capsys, "/dev/zero", "--key", KEY.verifier)[0] == 1


def test_a_moment_without_a_zone_is_told():
    with pytest.raises(Malformed, match="time zone") as caught:
        verify_receipt(GOOD, key=KEY.verifier, at=datetime.now(UTC).replace(tzinfo=None))
    assert caught.value.field == "at"


def test_the_command_takes_it_out_of_an_answer(file, capsys):
    file.write_text(json.dumps({"id": "req_1", "receipt": {"jws": GOOD, "log": {}}}))
    assert run(capsys, str(file), "--key", KEY.verifier)[0] == 0
    file.write_text(json.dumps({"id": "req_1", "receipt": None}))
    code, _, err = run(capsys, str(file), "--key", KEY.verifier)
    assert (code, "holds no receipt" in err) == (1, True)


def test_not_good_is_1_and_not_checked_is_2(file, capsys):
    key, digest = ("--key", KEY.verifier), "sha256:" + "a" * 64
    assert run(capsys, str(file), *key, "--action-digest", digest)[0] == 0
    code, out, err = run(capsys, str(file), *key, "--action-digest", "sha256:" + "0" * 64)
    assert (code, out, "another action" in err) == (1, "", True)
    assert run(capsys, str(file), "--key", OTHER.verifier)[0] == 1
    assert run(capsys, str(file), *key, "--at", "2099-01-01T00:00:00Z")[0] == 1
    assert run(capsys, str(file), *key, "--request", "req_x")[0] == 1
    assert run(capsys, str(file), *key, "--decision", "DENIED")[0] == 1
    assert run(capsys, str(file), *key, "--decision", "any")[0] == 0
    for words in (
        [str(file)],
        [str(file), "--key", "nonsense"],
        [str(file), "--key", "@/nowhere"],
        [str(file.parent), *key],
        ["/nowhere", *key],
        [str(file), *key, "--at", "soon"],
        [str(file), *key, "--decision", "APROVED"],
        [str(file), *key, "--wrong"],
        [*key],
    ):
        code, out, err = run(capsys, *words)
        assert (code, out) == (2, ""), words
        assert err.startswith("countersign: "), words
    code, out, _ = run(capsys, str(file), "--json")
    assert (code, json.loads(out)["good"]) == (2, None)


FILES = {
    "empty": b"",
    "no text": b"\xff\xfe\x00",
    "deep": b"{" * 100_000,
    "a number": b'{"receipt": {"jws": 7}}',
    "long": b"x" * 2_000_000,
    "a list": b"[]",
}


@pytest.mark.parametrize("raw", FILES.values(), ids=FILES)
def test_a_file_of_anything_is_refused_in_words(file, capsys, raw: bytes):
    file.write_bytes(raw)
    code, out, err = run(capsys, str(file), "--key", KEY.verifier)
    assert (code, out) == (1, "")
    assert err.startswith("countersign: The ")


def test_the_command_reads_stdin_and_loads_no_server(file):
    """In a process of its own; the network is not even reachable by its libraries' names."""
    code = (
        "import sys\nfrom countersign.cli import main\n"
        "try:\n    main(['receipt', 'verify', '-', '--key', sys.argv[1]])\n"
        "finally:\n    assert not {'redis', 'boto3', 'bot', 'workers'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, KEY.verifier], input=GOOD, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "good: " in done.stdout


def test_a_base64_of_its_own_helper_is_what_the_standard_says():
    assert text(b"\xfb\xff") == base64.urlsafe_b64encode(b"\xfb\xff").decode().rstrip("=")
