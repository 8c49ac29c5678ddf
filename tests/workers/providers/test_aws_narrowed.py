"""What a reviewer has left out cannot be done: the narrowed grant, minted on an AWS that enforces IAM."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from approvers.narrowing import Narrow
from tests.bot.narrow_rules import policy
from tests.bot.test_desk import World
from tests.worlds.ministack import REPORT, Ministack, new_grant_id

YEAR = "arn:aws:s3:::customer-exports/2026/*"
ALL = {"role": "analytics", "actions": ["s3:GetObject", "s3:PutObject"], "resources": [YEAR]}
OTHER = "2026/of-somebody-else.csv"
RULE = f"""
[rule.review-year]
effect = "review"
narrow = ["ttl", "actions", "resources"]
owner  = "sre"
note   = "The year's reports."
when   = {{ resource = ["{YEAR}"] }}
"""


async def test_what_a_reviewer_left_out_is_refused_by_aws_and_the_rest_works(aws: Ministack):
    world = await World().start(policy() + RULE)
    asked = await world.ask(access=ALL, ttl_seconds=1800, data_classes=None)
    whole = aws.provider().mint(new_grant_id(), asked.request.plan)
    assert [aws.write(whole.secret, OTHER), aws.read(whole.secret, OTHER)] == ["allow", "allow"]

    wish = Narrow(ttl_seconds=900, actions=("s3:GetObject",), resources=(f"arn:aws:s3:::customer-exports/{REPORT}",))
    await world.click(asked, "robin", narrow=wish)
    done = await world.click(asked, "alex")
    before = datetime.now(UTC)
    minted = aws.provider().mint(done.grant.id, done.grant.plan)
    assert aws.read(minted.secret) == "allow"
    assert aws.write(minted.secret) == "implicit_deny"
    assert aws.read(minted.secret, OTHER) == "implicit_deny"
    aws.root("s3").delete_object(Bucket="customer-exports", Key=OTHER)  # others look at this bucket, too
    assert timedelta(seconds=895) <= minted.ends_at - before <= timedelta(seconds=905)
    assert whole.ends_at - minted.ends_at >= timedelta(seconds=890)
