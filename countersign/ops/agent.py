"""Be the demo's agent: read a report twice a second with the credential in the environment, until AWS refuses it.

On the way it tries one file that it was not granted, and prints what AWS answers, word for word; with `--astray` it
tries much worse. Run it under `countersign run`; it needs no AWS command line.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

TRY_THE_OTHER_AFTER = 3
"""Readings, so that a person sees rows first."""
STEPS = 8
"""After the first few readings, only every so many are told."""
AGAIN_AFTER = 20
"""Who goes astray does so every so many readings: the local AWS tells of the last fifty calls alone."""
ASTRAY: tuple[tuple[str, str, str, dict[str, str]], ...] = (
    ("iam:ListUsers", "iam", "list_users", {}),  # first, as it harms nothing where IAM is not enforced
    ("s3:ListAllMyBuckets", "s3", "list_buckets", {}),
    ("iam:CreateUser", "iam", "create_user", {"UserName": "backdoor"}),
    ("iam:CreateAccessKey", "iam", "create_access_key", {"UserName": "countersign-minter"}),
    ("cloudtrail:StopLogging", "cloudtrail", "stop_logging", {"Name": "all-regions"}),
)
"""What an intruder would try, and no grant of the demo allows: the action, and how the SDK calls it."""


class LetThrough(Exception):
    """AWS did what it should have refused; no further call is made."""


class _Stopped(Exception):
    """Somebody told us to stop."""


def main() -> int:
    """Read until refused; 1 then, so that whoever runs us knows that the work was cut short."""
    asked = _arguments()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    try:
        _work(_client("s3"), asked)
    except ClientError as error:
        _say(f"{asked.key}: AWS refuses, word for word:\n    {words(error)}")
        _say("this credential is no good any more; stopping")
        return 1
    except BotoCoreError as error:
        _say(f"AWS cannot be asked: {error}")
        return 2
    except _Stopped:
        _say("told to stop; the work is done")
    return 0


def words(error: ClientError) -> str:
    """Return what AWS said, unchanged."""
    answer = error.response["Error"]
    return f"{answer.get('Code', '')}: {answer.get('Message', '')}"


def refusals(client: Callable[[str], Any]) -> Iterator[tuple[str, ClientError]]:
    """Go astray, call by call, and yield each action with AWS's refusal. Raises LetThrough."""
    for action, service, name, arguments in ASTRAY:
        try:
            getattr(client(service), name)(**arguments)
        except ClientError as error:
            if not error.response["Error"]["Code"].startswith("AccessDenied"):
                raise LetThrough(f"{action}: {error}") from error
            yield action, error
        else:
            raise LetThrough(action)


def _work(s3: Any, asked: argparse.Namespace) -> None:
    reading = 0
    while True:
        rows = s3.get_object(Bucket=asked.bucket, Key=asked.key)["Body"].read().decode().splitlines()
        reading += 1
        if reading == 1:
            _say("\n    ".join([f"{asked.key} has {len(rows) - 1} rows:", *rows]))
        elif reading <= TRY_THE_OTHER_AFTER or reading % STEPS == 0:
            _say(f"{asked.key}: {len(rows) - 1} rows (reading {reading})")
        if reading == TRY_THE_OTHER_AFTER:
            _try_the_other(s3, asked)
        if asked.astray and reading % AGAIN_AFTER == TRY_THE_OTHER_AFTER:
            _go_astray()
        time.sleep(asked.every)


def _try_the_other(s3: Any, asked: argparse.Namespace) -> None:
    _say(f"{asked.forbidden}: not what was asked for, but let us try …")
    try:
        s3.get_object(Bucket=asked.bucket, Key=asked.forbidden)
    except ClientError as error:
        _say(f"{asked.forbidden}: AWS refuses, word for word:\n    {words(error)}")
    else:
        _say(f"{asked.forbidden}: it could be read, and should not: is IAM enforced?")


def _go_astray() -> None:
    try:
        for action, error in refusals(_client):
            _say(f"{action}: AWS refuses, word for word:\n    {words(error)}")
        _say("somebody may have seen that …")
    except LetThrough as error:
        _say(f"AWS let it through: {error}: is IAM enforced?")


def _client(service: str) -> Any:
    config = Config(retries={"mode": "standard", "max_attempts": 2}, s3={"addressing_style": "path"})
    return boto3.client(service, region_name=os.environ.get("AWS_REGION", "us-east-1"), config=config)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="agent", description="Read a report until AWS refuses.")
    parser.add_argument("--bucket", default="customer-exports")
    parser.add_argument("--key", default="2026/report.csv", help="what was asked for")
    parser.add_argument("--forbidden", default="other/secret.csv", help="what was not")
    parser.add_argument("--astray", action="store_true", help="try what an intruder would, too")
    parser.add_argument("--every", type=float, default=0.5, help="seconds between readings")
    return parser.parse_args()


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise _Stopped


def _say(text: str) -> None:
    sys.stdout.write(f"agent: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
