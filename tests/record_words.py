"""Say in words what `docs/records.md` says around its tables, and what the fields of the large models mean."""

from __future__ import annotations

from collections.abc import Mapping

INTRO = """\
# What audit records hold

Made by `python -m tests.record_docs` from `approvers/records.py`; a test says when it is old. The same as JSON Schema
(draft 2020-12): [records.schema.json](records.schema.json).

Every change of state is recorded in the same commit as the change. A record is one line of canonical JSON (RFC 8785),
stored and hashed as bytes. Records of a request and its grant are one chain (`subject` is the request's id), everything
else is the chain `sys`; `n` counts up from 1, `prev` is the SHA-256 of the body before it.

**Versions.** In records with `"v":1` everything that people and agents typed stands as it was typed. With `"v":2` a
mark stands in its place, `{"chars":12,"text_sha256":"…"}`: the text and its salt lie outside the log, and can be erased
without breaking the chain. An empty text stays `""`. Types and fields are only ever added; what is there "from version
2 on always" was missing from older records. Records of every version stay readable.

**Never in a record**: an access key's secret, an API key, a session, a token, or anything else that opens something.
Access keys, API keys, sign-in links and sessions are named by their public ids.
"""
OUTRO = ""
MEANINGS: Mapping[str, Mapping[str, str]] = {
    "Action": {
        "access": "the credential that is asked for; null for an action approval",
        "action": "what is to be done, `service:Action`",
        "actor": "who acts, by the caller's word",
        "break_glass": "whether break-glass is asked for",
        "data_classes": "the data in play, by the caller's word",
        "environment": "the environment that the caller names",
        "extends": "the grant whose work this one goes on with",
        "heartbeat_seconds": "how often the caller says that it lives; silence ends the grant",
        "parameters": "the caller's own JSON, as its RFC 8785 text",
        "project": "the project that the caller names",
        "public_key": "the key that the credential is sealed to; null for the web process's own",
        "reason": "why, as typed",
        "resource": "what it is to be done to",
        "risk": "the caller's own word on the risk; it raises the level, and never lowers it",
        "stage": "the stage that the caller names",
        "ticket": "the ticket that the caller names",
        "ttl_seconds": "for how long; the policy's default is filled in",
        "undo": "how it can be undone, as typed",
        "urgency": "the caller's own word on the urgency",
    },
    "Actor": {
        "id": "the agent, pipeline or service, `kind:name`",
        "model": "the agent's model",
        "on_behalf_of": "the human behind the actor",
        "run": "which run of it",
    },
    "Access": {
        "actions": "exactly these actions",
        "provider": "who mints it",
        "resources": "exactly these resources",
        "role": "the role's alias",
    },
    "Facts": {
        "account": "the account's name; null without access",
        "account_environment": "the account's environment, by the roster",
        "actions": "the headline's action and those of the access",
        "actor": "who acts, by the caller's word",
        "at": "the clock that the ruling read",
        "break_glass": "whether break-glass is asked for",
        "claimed_risk": "the caller's own word on the risk",
        "data_classes": "the data in play, by the caller's word",
        "environment": "the environment that the caller names",
        "extends": "the grant whose work this one goes on with",
        "groups": "the asker's groups as looked up, where they matter (break-glass)",
        "has_access": "whether a credential is asked for",
        "history": "the asker's counters",
        "issuer": "the issuer of the caller's token, proven",
        "levels": "the access level of each action, in their order",
        "model": "the agent's model, by the caller's word",
        "on_behalf_of": "the human behind the actor",
        "owed": "how many after-reviews the asker owes",
        "owners": "the caller's owners, by the roster",
        "pairs": "those of the actions that lead to more rights together",
        "principal": "who asks, proven",
        "principal_kind": "what the principal is, by the roster",
        "project": "the project that the caller names",
        "reason": "why, as typed",
        "ref": "the branch or tag that the token proves",
        "repository_id": "the repository that the token proves",
        "resources": "the headline's resource and those of the access",
        "risk_lists": "which of the shipped risk lists hold an action",
        "role": "the role's alias",
        "stage": "the stage that the caller names",
        "tag_keys": "which tags were looked for",
        "tags": "the `key=value` tags of each resource, in their order; null: not known",
        "ticket": "the ticket that the caller names",
        "ttl_seconds": "for how long",
        "urgency": "the caller's own word on the urgency",
        "workflow": "the workflow that the token proves",
    },
    "History": {
        "around": "how many of the asks remembered were made around this hour of the day",
        "asked": "its asks within the last 1m, 5m, 10m, 30m, 1h, 6h and 1d, this one included",
        "known": "how often people approved the least known of its actions here, since the last denial",
        "new": "those of the actions that nobody ever approved for it here",
        "total": "how many asks are remembered",
    },
    "Ruling": {
        "barred": "who may fill no seat: the asker, the actor, the human behind, the owners",
        "barred_as": "as what each of them is barred",
        "because": "why, in one sentence",
        "effect": "what policy answers",
        "expires_after_seconds": "how long people may answer; null where nobody is asked",
        "narrow": "what a reviewer may make smaller",
        "near_misses": "allow rules that lacked one condition",
        "notes": "the notes of the rules that decided",
        "policy_sha256": "the policy (its text: `policy.applied`)",
        "quorums": "the named quorums that the seats come from",
        "risk": "the risk with its points",
        "rules": "the rules that decided; none: the default did",
        "seats": "how many seats each group has",
    },
    "Condition": {"got": "what the ask has", "name": "which condition", "wanted": "what the rule wanted"},
    "RuleHit": {
        "conditions": "its conditions, all of them met",
        "effect": "what it answers",
        "name": "its name in the policy",
        "note": "its note",
    },
    "NearMiss": {"condition": "the one that was not met", "rule": "the rule"},
    "Risk": {"level": "the level", "points": "each reason with its points", "score": "their sum"},
    "Point": {"id": "which reason", "points": "how many points; a credit is below zero", "why": "the reason in words"},
    "Plan": {
        "account": "the account's name",
        "account_id": "the provider's own number of it",
        "actions": "exactly these actions",
        "ends_early": "whether it can be ended before its time",
        "ends_itself": "whether the provider's own clock ends it",
        "environment": "the account's environment",
        "external_id": "the external id of the role's trust",
        "lag_seconds": "how long an early end usually takes",
        "more_arns": "further base roles of the alias",
        "provider": "who mints it",
        "resources": "exactly these resources",
        "revoker_arn": "the role that writes Denies in that account; null: the worker's own",
        "role": "the role's alias",
        "role_arn": "the base role",
        "ttl_seconds": "for how long, counted from the mint",
    },
    "Proof": {
        "asked": "how many probes were made in the final run",
        "at": "the first refusal of the final run",
        "detail": "the same in words",
        "kind": "which kind of proof: nothing was issued, the provider's clock ended it, or probes were refused",
        "refused": "how many of them were refused",
        "seconds": "from the request for the end to the proof, with three decimals",
    },
    "Ending": {
        "by": "who ended it",
        "cause": "the event that ended it",
        "early": "whether before its time: then a Deny is written",
        "reason": "why; of a person as typed",
        "requested_at": "since when",
    },
}
"""By model and field; models whose fields describe themselves are not in here."""
