"""Say what docs/policy.md tells of each condition, each part of the risk, and each mistake; the rest is the code's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Said(NamedTuple):
    """What a condition reads, who vouches for that, and an example in TOML."""

    reads: str
    source: str
    example: str


KEY, TOKEN, CLAIM, ASKED, ROSTER = "key or token", "the CI's token", "claim", "what is asked for", "`countersign.toml`"
TABLE, AWS, SUM, LOG, CLOCK = "table of AWS actions", "AWS", "sum of points", "history", "clock"
WRITTEN = "what the caller wrote"
CONDITIONS: Mapping[str, Said] = {
    "principal": Said("who asks", KEY, '["caller:report-bot"]'),
    "principal_kind": Said("what asks: agent, pipeline, service, person", ROSTER, '["agent"]'),
    "issuer": Said("whose token it is, by its name in the roster", TOKEN, '["github"]'),
    "repository_id": Said("the repository's number", TOKEN, '["456789"]'),
    "ref": Said("branch or tag", TOKEN, '["refs/heads/main"]'),
    "workflow": Said("the workflow's file", TOKEN, '["acme/shop/.github/workflows/*"]'),
    "actor": Said("the agent it says it is", CLAIM, '["agent:report-*"]'),
    "model": Said("the model it says it runs on", CLAIM, '["*preview*"]'),
    "project": Said("the project it names", CLAIM, '["billing"]'),
    "stage": Said("the stage it names", CLAIM, '["experiment*"]'),
    "urgency": Said("how urgent it says it is: low, normal, high", CLAIM, '["high"]'),
    "action": Said("each action, in any case", ASKED, '["s3:Get*"]'),
    "access_level": Said("level of each action; one that no table knows is `unknown`", TABLE, '["Write", "unknown"]'),
    "risk_list": Said("destructive, escalation, credentials, exposure, evasion", TABLE, '["destructive"]'),
    "resource": Said("each resource; its own `*` and `?` count", ASKED, '["arn:aws:s3:::exports/*"]'),
    "role": Said("the role's alias", ROSTER, '["analytics"]'),
    "account": Said("the account behind the role", ROSTER, '["data-prod"]'),
    "environment": Said("the account's, and a stricter claim", ROSTER, '["prod"]'),
    "tags_any": Said("a resource has such a tag", AWS, '["data=pii"]'),
    "tags_none": Said("a resource has no such tag", AWS, '["data=pii"]'),
    "data_class": Said("data that it says is in play", CLAIM, '["pii"]'),
    "ttl_over": Said("asked for longer than this", ASKED, '"30m"'),
    "ttl_at_most": Said("asked for no longer than this", ASKED, '"15m"'),
    "risk_at_least": Said("risk of this level or more", SUM, '"high"'),
    "risk_below": Said("risk below this level", SUM, '"high"'),
    "rate_over": Said("more asks of this principal than so many", LOG, '"20/1h"'),
    "outside_hours": Said("the hour in `timezone`; may pass midnight", CLOCK, '"08:00-19:00"'),
    "weekday": Said("the day in `timezone`", CLOCK, '["sat", "sun"]'),
    "reason_missing": Said("no reason; one of spaces is none", WRITTEN, "true"),
    "reason_shorter_than": Said("characters of the reason, trimmed", WRITTEN, "15"),
    "ticket_missing": Said("no ticket; one of spaces is none", WRITTEN, "true"),
    "first_seen": Said("an action never approved here for this principal", LOG, "true"),
}

FLAGS: Mapping[str, str] = {
    "after_end": "a call after the end of the grant",
    "blinds": "an action of the risk list evasion",
    "escalation": "an action of the risk list escalation",
    "other_address": "calls from a second network: somebody else has the credential",
    "refusals": "five refused calls, whatever they were",
    "outside_action": "an action that was not granted",
    "outside_resource": "a resource that was not granted; a bare name that only seems so weighs as a refused one",
    "other_region": "a region that neither the granted resources nor the account are in",
    "unknown_action": "an event that fits no known action; never ends a grant",
}
"""Flag → what raises it."""
POINTS: Mapping[str, str] = {
    "access": "the highest level among the actions",
    "environment": "the strictest that counts; one without an entry counts as `unknown`",
    "lists": "an action of that list: destroys, leads to more rights, hands out secrets, opens data, blinds monitoring",
    "pair": "two actions that lead to more rights together, such as PassRole and CreateFunction",
    "wildcard": "a wildcard in a resource",
    "everything": "the resource `*`",
    "many": "more than 5 different actions",
    "data": "a data class is named",
    "long": "for more than an hour",
    "first_seen": "an action never approved here for this principal",
    "burst": "more than 20 asks within 10 minutes",
    "unusual_hour": "at most one in 50 of its asks was made around this hour (from 50 asks on)",
    "no_ticket": "no ticket",
    "well_known": "people approved each of its actions here 20 times or more, and denied none since",
}

MISTAKES: tuple[tuple[str, str, str], ...] = (
    ('default = "review"', 'default = "allow"', "allow by default"),
    ('principal_kind = ["agent"], risk_list', 'principle_kind = ["agent"], risk_list', "a typing error in a condition"),
    ("until = 2027-05-31\n", "", "allow for ever"),
    ('risk_below = "high"', 'actor = ["agent:report-1"]', "a claim in allow"),
    ('role = ["analytics"], action', 'risk_below = "high", action', "`risk_below` in review"),
    ('when = { data_class = ["pii"] }', "when = {}", "a rule without conditions"),
    ("seats = { security = 1, sre = 1 }", "seats = {}", "a quorum of nobody"),
    ("seats = { security = 1, sre = 1 }", "seats = { securty = 1, sre = 1 }", "a group that is not there"),
    ("seats = { security = 1, sre = 1 }", "seats = { security = 2, sre = 1 }", "more seats than people"),
    ('"logs:Get*", "logs:Filter', '"logs:Fetch*", "logs:Filter', "a pattern that fits no action"),
    ('"s3:*"], environment = ["prod"]', '"s3:*"], environment = ["live"]', "an environment that is not there"),
    ('after = "10m"', 'after = "45m"', "a level after the end"),
)
"""(what stands in the first policy, what somebody writes instead, in words)."""
