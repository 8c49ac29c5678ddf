"""A locked bucket, on a local AWS that enforces the lock: what is put there stays, and what is tried is seen."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from approvers.checkpoint import Checkpoint
from countersign.commands.common import WrongOption
from countersign.ops.exporting_folder import NotExported
from countersign.ops.s3 import Bucket, Place
from countersign.ops.s3_export import anchor, at_least, folder_of, look, retain_until, upload
from countersign.ops.signed_log import Signed
from tests.worlds.ministack import Ministack, aws

__all__ = ["aws"]
NOW = datetime.now(UTC)
YEAR = NOW + timedelta(days=365)
PART = 5 << 20
Sdk = Any


@pytest.fixture
def s3(aws: Ministack) -> Sdk:
    return aws.root("s3")


@pytest.fixture
def bucket(s3: Sdk) -> Bucket:
    name = f"evidence-{secrets.token_hex(6)}"
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return Bucket(name, s3, PART)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    folder = tmp_path / "export"
    (folder / "policies").mkdir(parents=True)
    for name in ("records.jsonl", "policies/aa.toml", "manifest.json"):
        (folder / name).write_bytes(name.encode())
    return folder


def keys(s3: Sdk, bucket: Bucket) -> list[str]:
    return [one["Key"] for one in s3.list_objects_v2(Bucket=bucket.name).get("Contents", [])]


def put_all(bucket: Bucket, export: Path, prefix: str = "logs/size-000000004711/") -> int:
    return upload(bucket, prefix, export, YEAR, lambda _done: None)


def test_an_export_is_put_whole_and_locked_the_manifest_last(s3: Sdk, bucket: Bucket, export: Path) -> None:
    order: list[str] = []
    s3.meta.events.register_first(
        "before-parameter-build.s3.PutObject", lambda params, **_: order.append(params["Key"])
    )  # fmt: skip
    assert put_all(bucket, export) == 3
    assert order[-1] == "logs/size-000000004711/manifest.json"
    assert keys(s3, bucket) == sorted(order)
    head = s3.head_object(Bucket=bucket.name, Key=order[0])
    assert head["ObjectLockMode"] == "COMPLIANCE"
    assert abs(head["ObjectLockRetainUntilDate"] - YEAR) < timedelta(seconds=2)
    assert look(bucket, Place(bucket.name, "logs/"), NOW) == (3, [])
    assert put_all(bucket, export) == 0, "the second time everything is there"


def test_what_is_locked_is_not_deleted_nor_its_time_shortened(s3: Sdk, bucket: Bucket, export: Path) -> None:
    put_all(bucket, export)
    (version, *_) = bucket.versions("logs/size-000000004711/manifest.json")
    named = {"Bucket": bucket.name, "Key": version.key, "VersionId": version.id}
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_object(**named)
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_object(**named, BypassGovernanceRetention=True)
    soon = {"Mode": "COMPLIANCE", "RetainUntilDate": NOW + timedelta(minutes=1)}
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.put_object_retention(**named, Retention=soon)
    assert look(bucket, Place(bucket.name, ""), NOW) == (3, [])


def test_a_look_finds_what_was_hidden_written_over_unlocked_or_left_half(
    s3: Sdk, bucket: Bucket, export: Path
) -> None:  # fmt: skip
    put_all(bucket, export)
    prefix = "logs/size-000000004711/"
    s3.delete_object(Bucket=bucket.name, Key=f"{prefix}manifest.json")
    s3.put_object(Bucket=bucket.name, Key=f"{prefix}records.jsonl", Body=b"other")
    s3.put_object(Bucket=bucket.name, Key="logs/size-000000004712/records.jsonl", Body=b"x")
    count, faults = look(bucket, Place(bucket.name, "logs/"), NOW)
    told = "\n".join(faults)
    assert count == 4
    assert "manifest.json is hidden by a delete marker" in told
    assert "records.jsonl has 2 versions" in told
    assert "size-000000004712/records.jsonl is not locked" in told
    assert "logs/size-000000004712/ has no manifest.json" in told
    assert "go on with `--upto 4712`" in told
    assert len(look(bucket, Place(bucket.name, "logs/size-000000004711/policies/"), YEAR - timedelta(days=9))[1]) == 1


def test_a_place_where_nothing_is_does_not_pass_for_a_good_one(bucket: Bucket, export: Path) -> None:
    put_all(bucket, export)
    assert look(bucket, Place(bucket.name, "log/"), NOW) == (
        0, [f"nothing is there: is s3://{bucket.name}/log/ where exports or anchors go?"],
    )  # fmt: skip


@pytest.mark.parametrize("size", [7, PART + 7], ids=["one_piece", "parts"])
def test_of_two_that_put_one_name_at_once_one_does(s3: Sdk, bucket: Bucket, tmp_path: Path, size: int) -> None:
    file = tmp_path / "receipts.txt"
    file.write_bytes(secrets.token_bytes(size))
    calls = ["PutObject", "CompleteMultipartUpload"]

    def another_is_first(**_: Any) -> None:
        while calls:
            s3.meta.events.unregister(f"before-call.s3.{calls.pop()}", another_is_first)
        assert bucket.put("a/receipts.txt", file, YEAR)

    for call in calls:
        s3.meta.events.register_first(f"before-call.s3.{call}", another_is_first)
    bucket.put("a/receipts.txt", file, YEAR)
    assert calls == []
    assert look(bucket, Place(bucket.name, "a/"), NOW) == (1, []), "one version, locked"


def test_one_who_comes_second_with_other_bytes_is_told(s3: Sdk, bucket: Bucket) -> None:
    def another_is_first(**_: Any) -> None:
        s3.meta.events.unregister("before-call.s3.PutObject", another_is_first)
        bucket.put_bytes("a", b"another log", YEAR)

    s3.meta.events.register_first("before-call.s3.PutObject", another_is_first)
    with pytest.raises(NotExported, match="other bytes"):
        bucket.put_bytes("a", b"a log", YEAR)
    assert len(list(bucket.versions("a"))) == 1


def until(s3: Sdk, bucket: Bucket, key: str) -> timedelta:
    """Return how much later than YEAR a lock ends."""
    found: datetime = s3.head_object(Bucket=bucket.name, Key=key)["ObjectLockRetainUntilDate"]
    return found - YEAR


def test_what_is_there_is_locked_for_longer_and_never_for_less(s3: Sdk, bucket: Bucket, export: Path) -> None:
    soon, second = NOW + timedelta(days=40), timedelta(seconds=2)
    upload(bucket, "p/", export, soon, lambda _done: None)
    upload(bucket, "p/", export, YEAR, lambda _done: None)
    assert all(abs(until(s3, bucket, key)) < second for key in keys(s3, bucket))
    upload(bucket, "p/", export, soon, lambda _done: None)
    bucket.keep("p/", soon)
    assert all(abs(until(s3, bucket, key)) < second for key in keys(s3, bucket))
    bucket.keep("p/", YEAR + timedelta(days=365))
    assert all(abs(until(s3, bucket, key) - timedelta(days=365)) < second for key in keys(s3, bucket))
    assert len(list(bucket.versions("p/"))) == 3


def test_a_large_file_that_was_begun_with_a_shorter_lock_gets_the_longer_one(
    s3: Sdk, bucket: Bucket, tmp_path: Path
) -> None:  # fmt: skip
    large = tmp_path / "records.jsonl"
    large.write_bytes(secrets.token_bytes(PART + 17))
    steps = iter([None, None, None, KeyboardInterrupt()])

    def step() -> None:
        if (error := next(steps)) is not None:
            raise error

    with pytest.raises(KeyboardInterrupt):
        bucket.put("size-1/records.jsonl", large, NOW + timedelta(days=40), step)
    assert bucket.put("size-1/records.jsonl", large, YEAR)
    assert abs(until(s3, bucket, "size-1/records.jsonl")) < timedelta(seconds=2)


def test_nothing_is_overwritten(bucket: Bucket, export: Path) -> None:
    put_all(bucket, export)
    (export / "records.jsonl").write_bytes(b"another log")
    with pytest.raises(NotExported, match="other bytes, and nothing is ever overwritten"):
        put_all(bucket, export)


def test_a_large_file_goes_in_parts_and_those_of_a_run_that_stopped_are_found(
    s3: Sdk, bucket: Bucket, tmp_path: Path
) -> None:  # fmt: skip
    large = tmp_path / "records.jsonl"
    large.write_bytes(secrets.token_bytes(2 * PART + 17))
    sent: list[int] = []

    def stop_at_third(params: dict[str, Any], **_: Any) -> None:
        sent.append(params["PartNumber"])
        if sent == [1, 2, 3]:
            raise KeyboardInterrupt

    s3.meta.events.register_first("before-parameter-build.s3.UploadPart", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        bucket.put("size-1/records.jsonl", large, YEAR)
    assert keys(s3, bucket) == [], "half a file is no file"
    assert bucket.put("size-1/records.jsonl", large, YEAR)
    assert sent == [1, 2, 3, 3], "parts that are there are not sent again"
    head = s3.head_object(Bucket=bucket.name, Key="size-1/records.jsonl")
    assert (head["ContentLength"], head["ObjectLockMode"]) == (2 * PART + 17, "COMPLIANCE")
    assert s3.get_object(Bucket=bucket.name, Key="size-1/records.jsonl")["Body"].read() == large.read_bytes()
    assert not bucket.put("size-1/records.jsonl", large, YEAR)
    large.write_bytes(secrets.token_bytes(2 * PART + 17))
    with pytest.raises(NotExported, match="other bytes"):
        bucket.put("size-1/records.jsonl", large, YEAR)


def test_a_bucket_without_lock_is_refused_with_the_remedy(s3: Sdk) -> None:
    name = f"plain-{secrets.token_hex(6)}"
    s3.create_bucket(Bucket=name)
    with pytest.raises(NotExported, match=r"no Object Lock.*--object-lock-enabled-for-bucket"):
        Bucket(name, s3).refuse_unlocked()
    with pytest.raises(NotExported, match="NoSuchBucket"):
        Bucket(f"nobodys-{secrets.token_hex(6)}", s3).refuse_unlocked()


def test_a_locked_bucket_is_taken(bucket: Bucket) -> None:
    bucket.refuse_unlocked()


def test_an_anchor_is_one_object_for_each_size(s3: Sdk, bucket: Bucket) -> None:
    found = Signed(Checkpoint("o.example/log", 4711, bytes(32)), "the note\n")
    assert anchor(bucket, Place(bucket.name, "daily/"), found, YEAR) == "daily/checkpoint-000000004711.txt"
    anchor(bucket, Place(bucket.name, "daily/"), found, YEAR)
    assert len(list(bucket.versions("daily/"))) == 1
    assert bucket.read("daily/checkpoint-000000004711.txt") == b"the note\n"
    assert bucket.read("daily/nothing") is None
    bucket.put_bytes("daily/checkpoint-of-mine.txt", b"x", YEAR)
    place = Place(bucket.name, "daily/")
    found_at = [at_least(bucket, place, size) for size in (7, 4711, 4712)]
    assert found_at == ["daily/checkpoint-000000004711.txt"] * 2 + [None]


def test_without_credentials_it_says_so_and_nothing_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(NotExported, match=r"NoCredentialsError.*check the SDK's credentials"):
        Bucket("evidence").refuse_unlocked()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "no-address")
    with pytest.raises(NotExported, match=r"ValueError.*address"):
        Bucket("evidence")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("s3://evidence/logs", Place("evidence", "logs/")),
        ("s3://evidence/a/b/", Place("evidence", "a/b/")),
        ("s3://evidence", Place("evidence", "")),
        ("s3://evidence/", Place("evidence", "")),
        ("s3:///x", None),
        ("https://evidence/x", None),
        ("s3://UPPER/x", None),
        ("s3://evidence//x", None),
        ("s3://evidence/x//", None),
        ("s3://evidence/x/../y", None),
        ("s3://evidence/x\ny", None),
        ("s3://evidence/x\x01y", None),
        ("s3://evidence/a b+c&ü%20", Place("evidence", "a b+c&ü%20/")),
    ],
)
def test_places(text: str, place: Place | None) -> None:
    if place:
        assert Place.parse(text) == place
        assert folder_of(place, 4711) == f"{place.prefix}size-000000004711/"
    else:
        with pytest.raises(NotExported, match="write s3://bucket/prefix"):
            Place.parse(text)


def test_a_prefix_of_odd_characters_is_put_and_found(bucket: Bucket, export: Path) -> None:
    place = Place.parse(f"s3://{bucket.name}/a b+c&ü%20<x>")
    assert put_all(bucket, export, folder_of(place, 7)) == 3
    assert put_all(bucket, export, folder_of(place, 7)) == 0
    assert look(bucket, place, NOW) == (3, [])


def test_how_long_it_is_kept() -> None:
    assert retain_until("7y", NOW) == NOW + timedelta(days=7 * 365)
    assert retain_until("90d", NOW) == NOW + timedelta(days=90)
    for text in ("7", "7m", "0d", "-1y", "99999y", ""):
        with pytest.raises(WrongOption, match="write 7y"):
            retain_until(text, NOW)
