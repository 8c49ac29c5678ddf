"""Whatever was typed, erasing it changes no verdict: every decision is made once more and comes out as it was."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from approvers.errors import CountersignError
from bot.commits import Click
from countersign.ops.erasing import Wish, erase, subjects_of
from countersign.verifying.checks import SKIPPED, Checks
from countersign.verifying.core import Key
from countersign.verifying.replaying import Replay
from countersign.verifying.story import Story
from countersign.verifying.verify import Verified, verify
from tests.countersign.verifying.exported import SignedHistory, export_of
from tests.countersign.verifying.retelling import Record, grave, told
from tests.worlds.history import PEOPLE, POLICY, ROSTER, History, caller, person
from tests.worlds.signing import VERIFY_KEY
from workers.policies import apply

WISH = Wish("asked for", "ops")
KEYS = [Key.parse(VERIFY_KEY)]
GONE = "\u25a0"
RULES = """
[rule.deny-short]
effect = "deny"
owner = "sre"
note = "Say more."
when = { stage = ["short"], reason_shorter_than = 5 }
[rule.review-terse]
effect = "review"
quorum = "two"
owner = "sre"
note = "Few words take two."
when = { stage = ["terse"], reason_shorter_than = 9 }
[rule.deny-missing]
effect = "deny"
owner = "sre"
note = "Say why."
when = { stage = ["missing"], reason_missing = true }
"""
LATER = """
[rule.late]
effect = "%s"
%sowner = "sre"
note = "By then more words are wanted."
when = { stage = ["late"], reason_shorter_than = 7 }
"""
BEFORE = POLICY.replace('apply = { quorum = "one" }\n', "") + RULES
AFTER = {"review": BEFORE + LATER % ("review", 'quorum = "two"\n'), "deny": BEFORE + LATER % ("deny", "")}
KNOCK = {"action": "demo:Knock", "resource": "door:front", "access": None, "data_classes": None}
# blanks of every kind that Python trims, one that it does not, the sign that stands for erased text, wide characters
typed = st.text(st.sampled_from(" \t\n\r\x1c\x85\u00a0\u2003\u200bab\u25a0é\U0001f642"), max_size=14) | st.text(
    st.characters(codec="utf-8"), max_size=20
)


async def asked(reason: str, said: str, stricter: str) -> History:
    """Ask with that reason under every rule that reads it, and give the other text wherever else one is typed."""
    history = History(1)
    await apply(history.store.records, policy=BEFORE, roster=ROSTER, by="user:kim", why=said or "the first")
    await history.policies.refresh()
    wish = {**KNOCK, "reason": reason, "undo": said}
    for number, stage in enumerate(("short", "terse", "missing", "late")):
        await history.submit(caller(), {**wish, "stage": stage, "parameters": {"number": number, "note": said}})
    dana = {**wish, "actor": {"id": "user:dana"}, "break_glass": True, "ticket": "INC-1"}
    history.glass = await history.submit(person("dana"), dana)
    await apply(history.store.records, policy=AFTER[stricter], roster=None, by="user:kim", why="more words")
    await history.policies.refresh()
    for request in history.ids:
        for name, verdict in (("robin", "approve"), ("alex", "deny")):
            with contextlib.suppress(CountersignError):
                await history.desk.review(Click(person(name), request, verdict, said))
    for verdict in ("unjustified", "justified"):  # the first is refused without words
        with contextlib.suppress(CountersignError):
            await history.after.take(person("kim"), history.glass, verdict, said)
    return history


async def erase_person(history: History, name: str) -> dict[str, int]:
    """Erase what a person typed, as the command does; return how many texts of each subject."""
    found = await subjects_of(history.store, name)
    return {
        one: await erase(history.store, one, Wish("they left", "ops", name), quotes) for one, quotes in found.items()
    }


async def decided_again(history: History) -> tuple[list[str], Counter[str], Counter[str]]:
    """Return what story and replay find bad in the log as it can be read now, and what was decided again or was not."""
    replay, story, found = Replay(), Story(), []
    for seen in await history.told():
        found += [*story.feed(seen), *replay.feed(seen)]
    found += [*story.end(), *replay.end()]
    return [one.what for one in found if one.grave], replay.replayed, replay.skipped


@settings(max_examples=settings.default.max_examples // 8)  # each plays a history, twice decided
@given(reason=typed, said=typed, stricter=st.sampled_from(sorted(AFTER)))
@example(reason="  ok   ", said=" no ", stricter="review")
@example(reason="      ", said="   ", stricter="deny")
@example(reason="\u25a0\u25a0 ", said="\u25a0", stricter="review")
def test_any_text_under_any_rule_that_looks_at_texts(reason: str, said: str, stricter: str):
    async def run() -> None:
        history = await asked(reason, said, stricter)
        before = await decided_again(history)
        assert before[0] == [] and not before[2]
        assert before[1]["request.submitted"] == 5
        for request in history.ids:
            await erase(history.store, request, WISH)
        for name in ("user:kim", "user:robin"):
            await erase_person(history, name)
        assert not await history.store.log.texts(history.ids)
        assert await decided_again(history) == before

    asyncio.run(run())


def one_ask(reason: str) -> list[Record]:
    """Return the records of one ask under a rule on its length that denies nothing but very short ones."""

    async def scenario(history: History) -> None:
        history.ids.append(await history.submit(caller(), {**KNOCK, "reason": reason}))

    return told(scenario)


def test_an_older_record_holds_the_reason_as_it_was_typed_and_replays():
    records = one_ask("  because \n")
    facts = next(one for one in records if one["type"] == "request.submitted")["data"]["facts"]
    assert facts["reason"] == "because"
    facts["reason"] = "  because \n"
    assert grave(records) == []
    facts["reason"] = "  another \n"
    assert [one.code for one in grave(records)] == ["does_not_follow"]


@pytest.mark.parametrize(("told_of", "fine"), [(7, True), (10, True), (11, False)])
def test_of_an_erased_reason_the_ruling_was_told_no_more_than_was_typed(told_of: int, fine: bool):
    records = one_ask("  because ")
    data = next(one for one in records if one["type"] == "request.submitted")["data"]
    data["action"]["reason"], data["facts"]["reason"] = GONE * 10, GONE * told_of
    assert (grave(records) == []) is fine


def test_where_only_the_reason_was_erased_the_digest_of_the_ask_is_still_checked():
    records = one_ask("because")
    data = next(one for one in records if one["type"] == "request.submitted")["data"]
    data["action"]["reason"] = data["facts"]["reason"] = GONE * 7
    data["action"]["resource"] = data["facts"]["resources"][0] = "door:back"
    assert "action_digest" in grave(records)[0].what


# ---- from the store to the verdict, through an export


async def verified(history: SignedHistory, path: Path) -> tuple[Verified, Checks]:
    """Let everything come to its end, export it, and return the verdict; it has to be whole."""
    await export_of(history, path)
    checks = Checks(path)
    found = verify(path, KEYS, checks=checks.all, everything=True)
    assert found.whole, found.findings
    return found, checks


async def test_after_erasing_an_export_is_whole_and_as_much_is_decided_again(tmp_path: Path):
    history = await SignedHistory(16).begin()
    while history.asked < 25:
        await history.turn()
    before, checks = await verified(history, tmp_path / "export")
    decided, flags = checks.replayed, [one.what for one in before.findings]
    assert before.counts["texts"] and not before.counts["erased"] and not checks.told()[SKIPPED]
    assert {"break_glass.reviewed", "request.reruled", "grant.revoked"} <= before.types.keys()

    erased = Counter({one: await erase(history.store, one, WISH) for one in history.ids[:8]})
    erased.update(await erase_person(history, "user:robin"))
    assert len(erased) > 8, "robin typed something elsewhere, too"

    after, checks = await verified(history, tmp_path / "export")
    assert after.counts["erased"] == erased.total()
    assert after.counts["texts"] == before.counts["texts"] - erased.total() + after.types["text.erased"]
    assert (checks.replayed, checks.told()[SKIPPED]) == (decided, {})
    assert [one.what for one in after.findings] == flags
    assert after.counts["receipts"] == after.counts["decisions"] == before.counts["decisions"]

    for one in history.ids:
        await erase(history.store, one, WISH)
    for name in PEOPLE:
        await erase_person(history, f"user:{name}")
    last, checks = await verified(history, tmp_path / "export")
    assert last.counts["texts"] == last.types["text.erased"], "nothing is left but why it was erased"
    assert checks.replayed + checks.told()[SKIPPED].total() == decided
    assert checks.told()[SKIPPED].keys() <= {"policy.applied: what was approved was erased"}


async def test_what_was_approved_by_the_text_that_is_erased_is_passed_over_and_counted(tmp_path: Path):
    history = await SignedHistory(1).begin()
    await history.change()
    before, checks = await verified(history, tmp_path / "export")
    decided = checks.replayed
    assert before.types["policy.applied"] == 2 and not checks.told()[SKIPPED]
    await erase(history.store, history.ids[0], WISH)
    _, checks = await verified(history, tmp_path / "export")
    assert checks.told()[SKIPPED] == {"policy.applied: what was approved was erased": 1}
    assert checks.replayed == decided - 1
