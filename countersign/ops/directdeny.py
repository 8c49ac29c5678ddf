"""Write one Deny by an operator's hand: show it, write it, judge what came of it; and open sessions to ask with."""

from __future__ import annotations

import os
import re
import secrets
import shlex
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from approvers.errors import CountersignError
from approvers.grant import Plan
from countersign.commands.common import Ended, WrongOption, put, put_json, say
from countersign.errors import OUR_FAULT
from workers.providers import documents
from workers.providers.access import AwsAccess, Identity
from workers.providers.aws_sdk import Clients, Sdk, secret_of, told, tried, trouble
from workers.providers.port import ProofOutcome, ProviderError, Reading
from workers.providers.probing import Pace, Told

ROLE_ARN = re.compile(r"arn:(aws|aws-cn|aws-us-gov):iam::(\d{12}):role/[\w+=,.@/-]{1,512}")
REGION = "us-east-1"
UNSURE = "it may have been written, or not: do the same again, it does no harm"


class NotDone(CountersignError):
    """AWS did not do it."""

    code = "not_done"


@dataclass(frozen=True)
class Asked:
    """What was typed. `prove_as` is a profile that may take the base role (the minter's); None: as `profile`."""

    role_arn: str
    grant: str | None = None
    profile: str | None = None
    prove_as: str | None = None
    region: str | None = None
    endpoint_url: str | None = None
    external_id: str | None = None
    patience_seconds: float = 120.0
    dry_run: bool = False
    json: bool = False

    @property
    def account_id(self) -> str:
        """Return the account of the role. Raises WrongOption."""
        match = ROLE_ARN.fullmatch(self.role_arn)
        if match is None:
            text = f"{self.role_arn!r} is no role's ARN: write arn:aws:iam::123456789012:role/NAME"
            raise WrongOption(text, field="--role-arn")
        return match[2]

    @property
    def plan(self) -> Plan:
        """Return a plan that names the role and asks for nothing. Raises WrongOption."""
        place = {"account": self.account_id, "account_id": self.account_id, "environment": "unknown"}
        nothing: dict[str, Any] = {"actions": (), "resources": (), "ttl_seconds": 900}
        who = {"role": self.role_arn, "role_arn": self.role_arn, "external_id": self.external_id}
        return Plan.model_validate({"provider": "aws", **place, **nothing, **who})

    @property
    def access(self) -> AwsAccess:
        """Speak as the operator's own identity; prove as another where one is named."""
        region = self.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or REGION
        revoker = Identity(profile=self.profile)
        prover = Identity(profile=self.prove_as) if self.prove_as else revoker
        return AwsAccess(self.endpoint_url, region, minter=prover, revoker=revoker)

    @property
    def pace(self) -> Pace:
        """Say for how long the proof is waited for."""
        return Pace(patience_seconds=self.patience_seconds)


@dataclass(frozen=True)
class Done:
    """What came of it, for scripts."""

    role_arn: str
    policy_name: str
    policy_document: str
    command: str
    written: bool
    outcome: str
    detail: str


class Deny:
    """One Deny that is to be written: shown first, then written, then judged."""

    def __init__(self, asked: Asked, name: str, document: str) -> None:
        """Take what was asked for, and the policy's name and text."""
        self._asked, self._name, self._document = asked, name, document
        self._role = asked.role_arn.rpartition("/")[2]
        self.clients = Clients(asked.access)

    def shown(self, words: str) -> bool:
        """Say what is to be written; True if that was all that was asked for."""
        if not self._asked.dry_run:
            say(f"writes {self._name} on {self._asked.role_arn}; by hand it would be:")
            say(self.command())
            return False
        say(f"{words}: writes {self._name} on {self._asked.role_arn}; nothing was written")
        self._put(Reading(ProofOutcome.UNKNOWN, 0, 0, None, "dry run"), written=False)
        return True

    def command(self) -> str:
        """Return the same as a call of AWS's own command line."""
        call = ["aws", "iam", "put-role-policy", "--role-name", self._role, "--policy-name", self._name]
        return shlex.join([*call, "--policy-document", self._document])

    def check_account(self) -> None:
        """Raise NotDone unless the credentials are of the role's account: IAM acts on the caller's own."""
        found, home = self._identity()["Account"], self._asked.account_id
        if found != home:
            raise NotDone(
                f"the credentials are of account {found}, the role is in {home}, and IAM acts on the caller's own "
                f"account: use a profile of {home}; nothing was written",
                field="--profile",
            )

    def aws_time(self) -> datetime:
        """Read AWS's clock."""
        date = self._identity()["ResponseMetadata"]["HTTPHeaders"]["date"]
        return parsedate_to_datetime(date).astimezone(UTC)

    def _identity(self) -> Sdk:
        try:
            answer, error = self.clients.as_revoker("sts", None, lambda sts: sts.get_caller_identity())
            why = str(trouble(error)) if error is not None else ""
        except ProviderError as unusable:  # there is no such profile, or what it says cannot be used
            answer, why = None, str(unusable)
        if why:
            raise NotDone(
                f"AWS cannot be asked: {why}; give credentials of the role's account with --profile, or as your AWS "
                "tools find them; nothing was written",
                field="--profile",
            )
        return answer

    def put(self) -> None:
        """Write it. Raises NotDone."""
        error = self.clients.as_revoker(
            "iam",
            None,
            lambda iam: iam.put_role_policy(RoleName=self._role, PolicyName=self._name, PolicyDocument=self._document),
        )[1]
        if error is not None:
            raise NotDone(f"{trouble(error)}; {UNSURE}")

    def write(self, put: Callable[[], None]) -> None:
        """Write it, and say so at once: whatever happens from here on, it stands."""
        try:
            put()
        except KeyboardInterrupt:
            say(f"interrupted: {UNSURE}")
            raise
        say(f"written: {self._name} stands on {self._asked.role_arn}")

    def while_proving(self, prove: Callable[[], Reading]) -> Reading:
        """Wait for the proof; an interruption says what stands."""
        say(f"waits up to {self._asked.patience_seconds:g} s for the proof: a Deny takes a while (Ctrl-C leaves it)")
        try:
            return prove()
        except KeyboardInterrupt:
            say("interrupted: the Deny is written and stays; its effect is not proven")
            raise

    def judge(self, reading: Reading, keep: str) -> None:
        """Say what is proven; exit code 6 unless all is."""
        self._put(reading, written=True)
        say(keep)
        if reading.outcome is ProofOutcome.PROVEN:
            return say(f"proven ended: {reading.detail}")
        if reading.outcome is ProofOutcome.STILL_ACTIVE:
            say(f"NOT ended: {reading.detail}; take it as alive, and do the same again")
        else:
            say(f"written, NOT proven: {reading.detail}")
            say(
                f"see it: aws iam get-role-policy --role-name {self._role} --policy-name {self._name}; the twin that "
                "proves it: docs/direct.md, or --prove-as with a profile that may take the role (the minter's)"
            )
        raise Ended(OUR_FAULT)

    def _put(self, reading: Reading, *, written: bool) -> None:
        done = Done(
            role_arn=self._asked.role_arn,
            policy_name=self._name,
            policy_document=self._document,
            command=self.command(),
            written=written,
            outcome=str(reading.outcome) if written else "dry_run",
            detail=reading.detail,
        )
        if self._asked.json:
            put_json(asdict(done))
        elif not written:
            put(done.command)


def session(clients: Clients, asked: Asked) -> Callable[[], Told]:
    """Return what asks with a new session of the role under a fresh tag. Raises ProviderError."""
    tag = f"control-{secrets.token_hex(13)}"
    name = documents.control_name(tag)
    outside = {"ExternalId": asked.external_id} if asked.external_id else {}
    answer, error = tried(
        lambda: clients.get("sts", "minter").assume_role(
            RoleArn=asked.role_arn,
            RoleSessionName=name,
            SourceIdentity=name,
            Tags=[{"Key": documents.GRANT_TAG, "Value": tag}],
            Policy=documents.probe_policy(),
            DurationSeconds=900,
            **outside,
        )
    )
    if error is not None:
        raise trouble(error)
    client = clients.of_session("ec2", secret_of(answer))
    return lambda: told(client.describe_regions)
