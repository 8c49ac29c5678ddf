"""docs/policy.md: every example loads, is answered as the page says, and every command on it exists."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest

from approvers import risk
from approvers.condition_models import When
from approvers.explain import for_caller
from approvers.facts import WINDOWS
from approvers.faults import ConfigError
from approvers.narrowing import Narrow, narrowed
from approvers.policy import check_together, parse_policy
from approvers.risk_table import RiskTable
from approvers.roster import parse_roster
from approvers.ruling import Ruling, rule
from countersign.cli import main
from countersign.ops.policy_files import POLICY_SECTIONS
from tests import test_readme
from tests.docs.policy_pages import FRIDAY, LOGS, PAGE, ask, blocks, changed, checked, facts, first
from tests.docs.policy_words import CONDITIONS, MISTAKES, POINTS
from tests.worlds import samples

TEXT = PAGE.read_text()
PUBLIC = "arn:aws:s3:::public/1"
FRAGMENTS = blocks("toml")[2:]
HEADS = [re.findall(r"^\[(.+)\]", one, re.MULTILINE)[0] for one in FRAGMENTS]
CARRIED = """
[rule.allow-service]
effect = "allow"
until = 2027-05-31
owner = "sre"
note = "Reads its logs."
when = { action = ["logs:GetLogEvents"], environment = ["prod"] }
"""
TAGGED = """
[rule.allow-public]
effect = "allow"
until = 2027-05-31
owner = "sre"
note = "Public data."
when = { tags_any = ["public=yes"], environment = ["prod"] }
"""


def body(*, actions: list[str], resources: list[str], **more: Any) -> str:
    """Return an ask of the page's bot."""
    access = {"role": "analytics", "actions": actions, "resources": resources}
    asked = {**json.loads(ask()), "action": actions[0], "resource": resources[0], "access": access, "data_classes": []}
    return json.dumps({**asked, **more})


def ruled(asked: str, more: str = "", *, policy: str | None = None, **gathered: Any) -> Ruling:
    text = (policy or first()[1]) + more
    return rule(parse_policy(text), facts(asked, text, **gathered), sha256="f" * 64)


def test_the_first_files_load_without_a_warning():
    assert checked(*first()).found == ()
    check_together(parse_policy(first()[1]), parse_roster(first()[0]))


def test_there_are_as_many_examples_as_the_page_has_topics():
    assert set(HEADS) >= {"quorum.night", "risk.lists", "break_glass", "rule.deny-unexplained", "apply"}


@pytest.mark.parametrize("text", FRAGMENTS, ids=HEADS)
def test_every_further_example_fits_the_first_policy(text: str):
    assert tomllib.loads(text).keys() <= POLICY_SECTIONS
    assert checked(first()[0], first()[1] + text).errors == ()


def test_the_first_policy_answers_as_the_page_says():
    exports = ruled(ask())
    assert (exports.effect, dict(exports.seats)) == ("review", {"security": 1, "sre": 1})
    assert [hit.name for hit in exports.rules] == ["review-exports", "review-personal-data"]
    assert exports.narrow == ("actions", "resources", "ttl")
    assert ruled(body(actions=["logs:GetLogEvents"], resources=[LOGS])).rules[0].name == "allow-logs"
    assert ruled(body(actions=["s3:DeleteObject"], resources=["arn:aws:s3:::exports/1"])).effect == "deny"


def test_a_rule_on_a_claim_alone_does_not_silence_the_default():
    asked = body(actions=["logs:GetLogEvents"], resources=[LOGS], data_classes=["pii"], ttl_seconds=900)
    without = first()[1].replace(
        'role = ["analytics"], action = ["s3:*"]', 'role = ["analytics"], action = ["s3:Put*"]'
    )
    found = ruled(asked.replace("logs:GetLogEvents", "s3:GetObject").replace(LOGS, PUBLIC), policy=without)
    assert "by the policy's default" in found.because
    assert found.narrow == ("actions", "resources", "ttl")  # the default has no say in it


def test_one_action_does_not_carry_another_in():
    harmless = ruled(body(actions=["logs:GetLogEvents"], resources=[LOGS], ttl_seconds=1800), CARRIED)
    carried = ruled(
        body(actions=["logs:GetLogEvents", "s3:GetObject"], resources=[LOGS, PUBLIC], ttl_seconds=1800), CARRIED
    )
    assert (harmless.effect, carried.effect) == ("allow", "review")


def test_an_untagged_resource_is_not_opened_by_a_tagged_one_beside_it():
    one, two = "arn:aws:s3:::public/1", "arn:aws:s3:::secret/1"
    tags, policy = {one: ("public=yes",)}, first()[1].replace('action = ["s3:*"]', 'action = ["s3:Put*"]')
    alone = ruled(body(actions=["s3:GetObject"], resources=[one]), TAGGED, policy=policy, tags=tags)
    beside = {**tags, two: ()}
    both = ruled(body(actions=["s3:GetObject"], resources=[one, two]), TAGGED, policy=policy, tags=beside)
    unknown = ruled(body(actions=["s3:GetObject"], resources=[one]), TAGGED, policy=policy)
    assert (alone.effect, both.effect, unknown.effect) == ("allow", "review", "review")


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_condition_loads_where_the_page_says(name: str):
    loads = next(line for line in TEXT.splitlines() if line.startswith(f"| `{name}` |")).split(" | ")[3]
    for effect in ("allow", "deny", "review"):
        text = f'[rule.try]\neffect = "{effect}"\nuntil = 2027-05-31\nowner = "sre"\nnote = "Try."\n'
        text = f"{first()[1]}\n{text}when = {{ {name} = {CONDITIONS[name].example} }}\n"
        if loads == "all" or effect in loads:
            parse_policy(text)
        else:
            with pytest.raises(ConfigError, match=rf"rule\.try\.when\.{name}"):
                parse_policy(text)


def test_words_are_kept_for_what_there_is_only():
    table = RiskTable().model_dump(by_alias=True)
    assert CONDITIONS.keys() == When.model_fields.keys()
    assert POINTS.keys() - {"lists", "access", "environment"} <= table["action"].keys() | table["context"].keys()
    assert len({words for *_, words in MISTAKES}) == len(MISTAKES)


def test_the_bands_and_limits_named_in_prose_are_the_models():
    plain = " ".join(TEXT.split())
    bands = RiskTable().bands
    assert f"medium {bands.medium}, high {bands.high}, critical {bands.critical}" in plain
    limits = parse_policy(re.sub(r"\[limits\].*\n.*\n.*\n", "", first()[1])).limits
    assert [int(one["default"].total_seconds()) for one in (limits.ttl_default, limits.ttl_max)] == [1800, 3600]
    assert f"`actions_max` ({limits.actions_max})" in plain
    assert "Left out, they are `30m` and `1h`." in plain


def test_the_numbers_in_words_are_the_codes():
    assert f"more than {risk.MANY_ACTIONS} different" in POINTS["many"]
    assert f"more than {risk.BURST_ASKS} asks within {risk.BURST_WINDOW.removesuffix('m')} min" in POINTS["burst"]
    assert f"one in {risk.HOURS_RARE}" in POINTS["unusual_hour"]
    assert f"from {risk.HOURS_KNOWN} asks" in POINTS["unusual_hour"]
    assert f"{risk.WELL_KNOWN} times" in POINTS["well_known"]
    assert f"over {', '.join(WINDOWS[:-1])} or {WINDOWS[-1]}," in TEXT


def test_the_body_that_narrows_is_one_that_narrows():
    said = json.loads(next(one for one in blocks("json") if '"narrow"' in one))
    assert said["verdict"] == "approve"
    request = samples.request(resource="arn:aws:s3:::exports/2026/*", access={
        "role": "analytics", "actions": ["s3:GetObject"], "resources": ["arn:aws:s3:::exports/2026/*"]})  # fmt: skip
    free = request.ruling.model_copy(update={"narrow": ("actions", "resources", "ttl")})
    request, wanted = request.model_copy(update={"ruling": free}), Narrow.model_validate(said["narrow"])
    smaller = narrowed(request, wanted, by="user:kim", at=FRIDAY)
    assert smaller.plan is not None
    assert smaller.plan.ttl_seconds == 600
    assert smaller.plan.resources == ("arn:aws:s3:::exports/2026/11/*",)


def test_break_glass_stands_in_for_a_review_and_for_nothing_else():
    glass = next(one for one in FRAGMENTS if one.startswith("[break_glass]"))
    robin = {"principal": "user:robin", "caller": None, "groups": ("sre",)}
    asked = ask().replace("agent:report-7", "user:robin").replace('"ttl_seconds"', '"break_glass": true, "ttl_seconds"')
    assert ruled(asked, glass, **robin).effect == "break_glass"
    assert ruled(asked, **robin).effect == "deny"  # no such terms
    assert ruled(asked.replace("user:robin", "agent:report-7"), glass).effect == "deny"
    assert "not reviewed yet" in ruled(asked, glass, **robin, owed=1).because
    people = first()[1].replace('principal_kind = ["agent"], risk_list', "risk_list")
    deleting = asked.replace("s3:GetObject", "s3:DeleteObject")
    assert [hit.name for hit in ruled(deleting, glass, policy=people, **robin).rules] == ["deny-agent-deletes"]


def test_a_caller_learns_notes_and_no_near_miss():
    assert for_caller(samples.request()).keys() == {"because", "notes"}


def test_the_gate_runs_commands_that_exist():
    [workflow] = blocks("yaml")
    lines = [shlex.split(line) for line in re.findall(r"run: (countersign .*)", workflow)]
    assert [words[1:3] for words in lines] == [["policy", "check"], ["policy", "simulate"]]
    for words in lines:
        test_readme.test_an_example_has_a_command_and_its_options(words)


def test_check_and_explain_run_on_the_files_as_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    names = ("countersign.toml", "policy.toml", "new.toml", "ask.json")
    files = dict(zip(names, (tmp_path / name for name in names), strict=True))
    for name, text in zip(names, (*first(), changed(), ask()), strict=True):
        files[name].write_text(text)
    roster, policy, new = (str(files[name]) for name in names[:3])
    explain = ("explain", str(files["ask.json"]), "--policy", policy, "--roster", roster)
    for words in (("check", roster, policy), ("check", roster, new), explain):
        with pytest.raises(SystemExit) as ended:
            main(["policy", *words])
        assert not ended.value.code, capsys.readouterr()
    assert "PEOPLE ARE ASKED: 1 of security and 1 of sre" in capsys.readouterr().out
