"""Read CloudTrail's event history by LookupEvents, within its rate: two requests a second per account and region.

It holds management events of ninety days, region by region, and usually lags by five minutes. It is read by the revoker
of the account, who may do nothing else with it. Global services (IAM, STS, Organizations) are logged in one region of
the partition, which is read besides.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from approvers.activity import Call
from approvers.grant import Plan
from workers.data.levels import load_levels
from workers.providers.access import AwsAccess
from workers.providers.aws_events import call_of
from workers.providers.aws_sdk import Clients, Sdk, throttled, trouble
from workers.providers.port import Busy, Events

SPACING_SECONDS = 0.55
"""Between two requests of this process for one account and region; AWS takes two a second from everybody together."""
PATIENCE_SECONDS = 2.0
"""How long a request waits for its turn; whoever would wait longer is told so, and comes again."""
READ_SECONDS = 8.0
"""How long one reading takes pages in; there is more to do."""
PAGE = 50
GLOBAL_REGION: Mapping[str, str] = {"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}


class Turns:
    """Give each account and region its turns, one after the other; shared by all threads."""

    def __init__(
        self,
        spacing_seconds: float = SPACING_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._spacing, self._patience, self._clock, self._sleep = spacing_seconds, patience_seconds, clock, sleep
        self._lock = threading.Lock()
        self._next: dict[tuple[str, str], float] = {}

    def take(self, account: str, region: str) -> None:
        """Wait for the next turn. Raises Busy where it comes too late."""
        with self._lock:
            now = self._clock()
            turn = max(now, self._next.get((account, region), now))
            if turn - now > self._patience:
                raise Busy(f"CloudTrail of account {account} in {region} has all its turns taken")
            self._next[account, region] = turn + self._spacing
        if turn > now:
            self._sleep(turn - now)


class AwsActivity:
    """Read what sessions did. One instance serves all threads."""

    def __init__(
        self, access: AwsAccess, *, turns: Turns | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:  # fmt: skip
        self._clients, self._clock, self._turns = Clients(access), clock, turns or Turns()
        self.region = access.region

    def events(
        self,
        plan: Plan,
        *,
        since: datetime,
        until: datetime | None = None,
        key: str = "",
        name: str = "",
        regions: Sequence[str] = (),
    ) -> Events:
        """Return the calls of one access key id, or of one event name, of every region asked for; each call once."""
        wanted = {"AccessKeyId": key} if key else {"EventName": name}
        [(attribute, value)] = wanted.items()
        window = {"StartTime": since} | ({"EndTime": until} if until else {})
        asked = {"LookupAttributes": [{"AttributeKey": attribute, "AttributeValue": value}], "MaxResults": PAGE}
        last = self._clock() + READ_SECONDS
        found: dict[str, Call] = {}
        whole = True
        for region in dict.fromkeys((*(regions or (self.region,)), global_region(plan))):
            calls, all_of_it = self._read(plan, region, {**asked, **window}, last)
            found |= {call.id: call for call in calls}
            whole = whole and all_of_it
        return Events(tuple(found.values()), whole)

    def _read(self, plan: Plan, region: str, asked: Mapping[str, Sdk], last: float) -> tuple[list[Call], bool]:
        """Read pages until there are no more, or time is up; the newest calls come first."""
        levels, calls, page = load_levels(), list[Call](), dict[str, str]()
        while True:
            try:
                self._turns.take(plan.account_id, region)
            except Busy:
                if not page:
                    raise
                return calls, False
            answer = self._lookup(plan, region, {**asked, **page})
            calls += [call for entry in answer.get("Events", ()) if (call := call_of(entry, levels))]
            if not answer.get("NextToken"):
                return calls, True
            if self._clock() > last:
                return calls, False
            page = {"NextToken": str(answer["NextToken"])}

    def _lookup(self, plan: Plan, region: str, asked: Mapping[str, Sdk]) -> Sdk:
        answer, error = self._clients.as_revoker(
            "cloudtrail", plan.revoker_arn, lambda trail: trail.lookup_events(**asked), region
        )  # fmt: skip
        if error is not None:
            raise Busy(str(trouble(error))) if throttled(error) else trouble(error)
        return answer


def global_region(plan: Plan) -> str:
    """Return the region in which global services of the plan's partition are logged."""
    return GLOBAL_REGION.get(plan.role_arn.split(":")[1], "us-east-1")
