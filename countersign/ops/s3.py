"""Put files into an S3 bucket that keeps them against everybody (Object Lock, COMPLIANCE mode). Imports the AWS SDK.

Nothing is overwritten: a name that is there with the same bytes counts as put, with other bytes it is refused, and S3
itself refuses a second one where two put the same name at once. What is there and locked for less is locked for longer.
Every byte goes with its SHA-256, so that S3 itself refuses what was damaged on the way. Large files go in parts; parts
of a run that stopped are found again. Who writes needs s3:PutObject, s3:PutObjectRetention, s3:GetObject,
s3:GetObjectRetention, s3:ListBucket, s3:ListBucketMultipartUploads, s3:ListMultipartUploadParts,
s3:GetBucketObjectLockConfiguration, s3:GetBucketVersioning, and for a check, or to lock a whole export for longer,
s3:ListBucketVersions and s3:GetObjectVersion; no right to delete, and none to bypass.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from countersign.ops.exporting_folder import NotExported

Sdk = Any
"""A client of the SDK: boto3 brings no types."""
PART_BYTES = 64 << 20
"""The size of one part, and of the largest file that goes in one piece. S3 takes 5 MiB to 5 GiB, and 10,000 parts."""
_PLACE = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*?))?/?")
_ODD = re.compile(r"(?:^|/)(?:\.{0,2})(?:/|$)|[\x00-\x1f\x7f]")
_GONE = frozenset({"404", "NoSuchKey", "NotFound"})
_TAKEN = frozenset({"412", "PreconditionFailed", "NoSuchUpload"})
"""What S3 says to whoever comes second: the name is there, or the upload was finished by another."""
_REFUSED = frozenset({"403", "AccessDenied"})
LONGER = timedelta(days=1)
"""A lock that ends by less than this too early is left as it is: runs of one day ask for slightly different ends."""
SET_UP = (
    "make one with `aws s3api create-bucket --object-lock-enabled-for-bucket --bucket NAME`, in an account of its own"
)


class Place(NamedTuple):
    """A bucket, and what all names in it begin with (nothing, or up to a slash)."""

    bucket: str
    prefix: str

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read `s3://bucket/prefix`. Raises NotExported."""
        found = _PLACE.fullmatch(text)
        if found is None or (found[2] and _ODD.search(found[2])):
            raise NotExported(
                f"{text!r} is no place in S3: write s3://bucket/prefix, the prefix without empty parts, `.` and `..`"
            )
        return cls(found[1], f"{found[2]}/" if found[2] else "")

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"


class Version(NamedTuple):
    """One version of an object, or a marker that hides it."""

    key: str
    id: str
    marker: bool
    latest: bool


class _Wanted(NamedTuple):
    """What an object is to be: its checksum, its length, until when it is locked."""

    checksum: str
    size: int
    until: datetime


class Bucket:
    """One bucket, by the identity that the SDK finds (environment, profile, instance)."""

    def __init__(self, name: str, client: Sdk | None = None, part_bytes: int = PART_BYTES) -> None:
        """Open nothing yet. `client`: another one than the SDK's own settings give."""
        self.name, self._part_bytes = name, part_bytes
        with _told(f"s3://{name}"):
            config = Config(retries={"mode": "standard", "max_attempts": 5}, connect_timeout=5, read_timeout=60)
            self._s3 = client or Session().client("s3", config=config)

    def refuse_unlocked(self) -> None:
        """Raise NotExported unless the bucket keeps versions and can lock them."""
        with _told(f"s3://{self.name}"):
            try:
                lock = self._s3.get_object_lock_configuration(Bucket=self.name)["ObjectLockConfiguration"]
            except ClientError as error:
                if error.response["Error"]["Code"] != "ObjectLockConfigurationNotFoundError":
                    raise
                lock = {}
            versioning = self._s3.get_bucket_versioning(Bucket=self.name).get("Status")
        if lock.get("ObjectLockEnabled") != "Enabled" or versioning != "Enabled":
            raise NotExported(f"s3://{self.name} does not keep what is put there (no Object Lock): {SET_UP}")

    def put(self, key: str, path: Path, until: datetime, step: Callable[[], None] = lambda: None) -> bool:
        """Put a file under that name, locked until then; False if it was there already. Raises NotExported.

        `step` is called before each part of a large one; what it raises ends this.
        """
        size = path.stat().st_size
        with path.open("rb") as file:
            if size <= self._part_bytes:
                return self.put_bytes(key, file.read(), until)
            sums = []
            for block in iter(lambda: file.read(self._part_bytes), b""):
                step()
                sums.append(hashlib.sha256(block).digest())
            file.seek(0)
            wanted = _Wanted(_whole(sums), size, until)
            return self._put_new(key, wanted, lambda: self._put_parts(key, file, sums, until, step))

    def put_bytes(self, key: str, content: bytes, until: datetime) -> bool:
        """Put a small file; as `put`."""
        checksum = base64.b64encode(hashlib.sha256(content).digest()).decode()

        def put() -> None:
            self._s3.put_object(
                Bucket=self.name, Key=key, Body=content, ChecksumSHA256=checksum, IfNoneMatch="*",
                ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until,
            )  # fmt: skip

        return self._put_new(key, _Wanted(checksum, len(content), until), put)

    def keep(self, prefix: str, until: datetime) -> None:
        """Lock everything below a prefix until then, at least."""
        for version in self.versions(prefix):
            if not version.marker:
                with _told(f"s3://{self.name}/{version.key}"):
                    head = self._s3.head_object(Bucket=self.name, Key=version.key, VersionId=version.id)
                    self._keep(version.key, {"VersionId": version.id, **head}, until)

    def first_from(self, prefix: str, key: str) -> str | None:
        """Return the first name below a prefix that does not sort before that one."""
        with _told(f"s3://{self.name}/{prefix}"):
            found = self._s3.list_objects_v2(Bucket=self.name, Prefix=prefix, StartAfter=key[:-1], MaxKeys=1)
        return str(found["Contents"][0]["Key"]) if found.get("Contents") else None

    def _put_new(self, key: str, wanted: _Wanted, put: Callable[[], None]) -> bool:
        """Put what is not there yet, once, whoever else does so at the same time."""
        with _told(f"s3://{self.name}/{key}"):
            if self._there(key, wanted):
                return False
            try:
                put()
            except ClientError as error:
                if error.response["Error"]["Code"] not in _TAKEN or not self._there(key, wanted):
                    raise
                return False
        return True

    def _put_parts(
        self, key: str, file: BinaryIO, sums: list[bytes], until: datetime, step: Callable[[], None]
    ) -> None:
        upload, have = self._begun(key, until)
        parts = []
        for number, digest in enumerate(sums, 1):
            step()
            block, told = file.read(self._part_bytes), base64.b64encode(digest).decode()
            checksum, tag = have.get(number, ("", ""))
            if checksum != told:
                named = {"Bucket": self.name, "Key": key, "UploadId": upload, "PartNumber": number}
                tag = self._s3.upload_part(**named, Body=block, ChecksumSHA256=told)["ETag"]
            parts.append({"PartNumber": number, "ETag": tag, "ChecksumSHA256": told})
        self._s3.complete_multipart_upload(
            Bucket=self.name, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
        )
        head = self._s3.head_object(Bucket=self.name, Key=key)
        self._keep(key, head, until)  # some services forget it of an upload in parts, and one begun before has its own

    def _keep(self, key: str, head: Mapping[str, Any], until: datetime) -> None:
        """Lock an object that was just put, or is locked for less; a lock never gets shorter."""
        held = head.get("ObjectLockRetainUntilDate")
        if head.get("ObjectLockMode") == "COMPLIANCE" and isinstance(held, datetime) and until - held < LONGER:
            return
        kept = {"Mode": "COMPLIANCE", "RetainUntilDate": until}
        self._s3.put_object_retention(Bucket=self.name, Key=key, VersionId=head["VersionId"], Retention=kept)

    def versions(self, prefix: str) -> Iterator[Version]:
        """Yield every version and every marker below a prefix: a plain listing would not show what was hidden."""
        with _told(f"s3://{self.name}/{prefix}"):
            pages = self._s3.get_paginator("list_object_versions").paginate(Bucket=self.name, Prefix=prefix)
            for page in pages:
                for kind in ("Versions", "DeleteMarkers"):
                    for one in page.get(kind, ()):
                        yield Version(one["Key"], one["VersionId"], kind == "DeleteMarkers", one["IsLatest"])

    def retention(self, version: Version) -> datetime | None:
        """Return until when a version is locked in COMPLIANCE mode; None: it is not."""
        with _told(f"s3://{self.name}/{version.key}"):
            head = self._s3.head_object(Bucket=self.name, Key=version.key, VersionId=version.id)
        until = head.get("ObjectLockRetainUntilDate")
        return until if head.get("ObjectLockMode") == "COMPLIANCE" and isinstance(until, datetime) else None

    def read(self, key: str) -> bytes | None:
        """Return a small object; None where there is none."""
        with _told(f"s3://{self.name}/{key}"):
            try:
                return bytes(self._s3.get_object(Bucket=self.name, Key=key)["Body"].read())
            except ClientError as error:
                if error.response["Error"]["Code"] in _GONE:
                    return None
                raise

    def _there(self, key: str, wanted: _Wanted) -> bool:
        """Tell whether the same bytes are there, locked. Raises NotExported: other bytes are, or they are not kept."""
        try:
            head = self._s3.head_object(Bucket=self.name, Key=key, ChecksumMode="ENABLED")
        except ClientError as error:
            if error.response["Error"]["Code"] in _GONE:
                return False
            raise
        if (head.get("ChecksumSHA256"), head["ContentLength"]) != (wanted.checksum, wanted.size):
            raise NotExported(
                f"s3://{self.name}/{key} is there with other bytes, and nothing is ever overwritten: another log "
                "was put there, or a text was erased since. Export under another prefix"
            )
        if head.get("ObjectLockMode") != "COMPLIANCE":
            raise NotExported(
                f"s3://{self.name}/{key} is there, and not locked (or s3:GetObjectRetention is missing, so that nobody "
                "can tell): export under another prefix"
            )
        self._keep(key, head, wanted.until)
        return True

    def _begun(self, key: str, until: datetime) -> tuple[str, dict[int, tuple[str, str]]]:
        """Return the upload that was begun for that name, with its parts (checksum, tag), or begin one."""
        found = self._s3.list_multipart_uploads(Bucket=self.name, Prefix=key).get("Uploads", [])
        for one in found:
            if one["Key"] == key:
                named = {"Bucket": self.name, "Key": key, "UploadId": one["UploadId"]}
                pages = self._s3.get_paginator("list_parts").paginate(**named)
                parts = [part for page in pages for part in page.get("Parts", ())]
                have = {part["PartNumber"]: (part.get("ChecksumSHA256", ""), part["ETag"]) for part in parts}
                return str(one["UploadId"]), have
        begun = self._s3.create_multipart_upload(
            Bucket=self.name, Key=key, ChecksumAlgorithm="SHA256",
            ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until,
        )  # fmt: skip
        return str(begun["UploadId"]), {}


def _whole(sums: list[bytes]) -> str:
    """Return what S3 calls the checksum of an object that came in these parts."""
    return f"{base64.b64encode(hashlib.sha256(b''.join(sums)).digest()).decode()}-{len(sums)}"


@contextmanager
def _told(where: str) -> Iterator[None]:
    """Turn the SDK's errors into ours, without anything secret in them."""
    try:
        yield
    except ClientError as error:
        found = error.response.get("Error", {})
        first = (str(found.get("Message", "")).splitlines() or [""])[0][:300]
        text = f"{where}: S3 said {found.get('Code')}: {first}"
        if found.get("Code") in _REFUSED:
            text += ". Look which rights the identity lacks; docs/operating.md lists them"
    except (BotoCoreError, ValueError) as error:  # the SDK has no error of its own for an address that is none
        why = f"S3 cannot be asked ({type(error).__name__})"
        text = f"{where}: {why}: check the SDK's credentials, region, address and network"
    else:
        return
    raise NotExported(text)
