"""Model where credentials lead: AWS accounts, systems that executables mint for, and the roles of both."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from approvers.condition_models import Duration
from approvers.grant import BUILT_IN
from approvers.roster_words import Name, Named, Text, formed, unique

ARN = re.compile(r"arn:(?:aws|aws-cn|aws-us-gov):iam::(\d{12}):role/[A-Za-z0-9_+=,.@/-]{1,512}")
ARN_PATTERN = re.compile(r"arn:(?:aws|aws-cn|aws-us-gov):[a-z0-9-]+:[a-z0-9*-]*:(?:\d{12}|\*)?:[\x21-\x7e]+")
REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d")
CEILING = re.compile(r"[a-z0-9-]+:[A-Za-z0-9*]+")
ACTION = re.compile(r"[a-z0-9-]+:[A-Za-z0-9]+")
DeclaredLevel = Literal["List", "Read", "Write", "Tagging", "Permissions management"]

Ceiling = Annotated[tuple[Annotated[str, formed(CEILING, "an action pattern", "s3:Get*")], ...], Field(strict=False),
                    Field(min_length=1), AfterValidator(unique)]  # fmt: skip

Regions = Annotated[tuple[Annotated[str, formed(REGION, "a region", "eu-central-1")], ...], Field(strict=False),
                    AfterValidator(unique)]  # fmt: skip
Arns = Annotated[tuple[Annotated[str, formed(ARN, "a role's ARN", "arn:aws:iam::123456789012:role/NAME")], ...],
                 Field(strict=False), AfterValidator(unique)]  # fmt: skip
Resources = Annotated[tuple[Annotated[str, formed(re.compile(r"[\x21-\x7e]+"), "a pattern", "arn:aws:s3:::bucket/*")],
                            ...], Field(strict=False), AfterValidator(unique)]  # fmt: skip


class Account(Named):
    """A cloud account: AWS's 12 digits, and the environment that it is.

    Attributes:
        tags: the role that workers take to read its resources' tags; without one, no tag there is ever known.
        revoker: the role that the worker's revoker takes to write in this account; None where it is of this account.
        regions: where activity is looked for; empty: in the worker's own region alone.
    """

    id: Annotated[str, formed(re.compile(r"\d{12}"), "an account id", "123456789012")]
    environment: Text
    tags: Annotated[str, formed(ARN, "a role's ARN", "arn:aws:iam::123456789012:role/NAME")] | None = None
    revoker: Annotated[str, formed(ARN, "a role's ARN", "arn:aws:iam::123456789012:role/NAME")] | None = None
    regions: Regions = ()


class Provider(Named):
    """A system that a folder of executables mints for, and what these can promise; cards say so before an approval.

    Attributes:
        ends_itself: whether its own clock ends a credential and what it opened, with everything of ours dead.
        ends_early: whether `revoke` ends a live credential at once; else it lives until its time is over.
        lag: how long an early end usually takes.
        levels: the access level of its actions, which no table knows; one that is not named counts as the strictest.
    """

    environment: Text
    ends_itself: bool
    ends_early: bool
    min_ttl: Duration = timedelta(minutes=1)
    max_ttl: Duration = timedelta(hours=1)
    lag: Duration = timedelta(seconds=5)
    levels: Annotated[
        dict[Annotated[str, formed(ACTION, "an action", "db:select")], DeclaredLevel], Field(default={})
    ]  # fmt: skip


class Role(Named):
    """An AWS base role behind an alias; or a name for what a folder of executables mints.

    Attributes:
        provider: `aws`, or the name of a `[provider.NAME]`; then there is no account and no ARN.
        ceiling: the most that any grant of it may hold (action patterns).
        resources: the most that any grant may be for (ARN patterns); empty: whatever the role itself reaches.
        more_arns: further base roles with the same rights, for when one is near its limit of revocations.
    """

    provider: Name = "aws"
    account: Name = ""
    arn: Annotated[str, formed(ARN, "a role's ARN", "arn:aws:iam::123456789012:role/NAME")] = ""
    external_id: Text | None = None
    ceiling: Ceiling
    resources: Resources = ()
    more_arns: Arns = ()

    @property
    def by_command(self) -> bool:
        """Tell whether executables mint it, and no provider of ours."""
        return self.provider not in BUILT_IN

    @property
    def target(self) -> str:
        """Return what its plans name as `role_arn`: the ARN, or which role of which provider it is."""
        return f"command:{self.provider}/{self.name}" if self.by_command else self.arn
