"""The record of a request's cards: every change is one pure step, and none forgets a message that people may see."""

import pytest

from approvers.errors import NewerRecord
from bot.postings_record import MOST_COPIES, MOST_POSTS, Cards, Copy, cards_in, change
from bot.surfaces.port import MessageRef
from tests.worlds.samples import NOW
from workers.stores import layout
from workers.stores.memory import memory_store
from workers.stores.port import Snapshot, Versioned

REQUEST = "req_01JCG00000000000000000000A"
FIRST, SECOND = MessageRef("slack", "C01", "1.0"), MessageRef("slack", "C01", "2.0")
DUE = Cards(copies=(Copy(surface="slack", to="C01"),))


def messages(cards: Cards) -> list[tuple[str, str]]:
    return [(copy.state, copy.message) for copy in cards.copies]


def test_a_post_is_noted_before_and_after():
    begun = DUE.sending(0)
    assert (begun.copies[0].state, begun.copies[0].tries) == ("sending", 1)
    done = begun.posted(0, FIRST, "face", ("decided",))
    assert (done.copies[0].ref, done.copies[0].face, done.copies[0].said) == (FIRST, "face", ("decided",))
    assert done.sending(0) == done.unsent(0) == done


def test_what_did_not_arrive_is_not_counted_and_what_may_have_is():
    assert DUE.sending(0).unsent(0) == DUE
    again = DUE.sending(0).sending(0).unsent(0)
    assert (again.copies[0].state, again.copies[0].tries) == ("due", 1)
    assert DUE.sending(0).sending(0).copies[0].tries == MOST_POSTS


def test_a_click_names_the_message_whose_answer_was_lost_and_the_second_post_is_one_more():
    clicked = DUE.sending(0).sending(0).adopted(FIRST, ())
    assert messages(clicked) == [("posted", "1.0")]
    both = clicked.posted(0, SECOND, "face", ())
    assert messages(both) == [("posted", "1.0"), ("posted", "2.0")]
    assert [copy.face for copy in both.copies] == ["", ""]


def test_the_answer_that_comes_after_the_click_names_the_same_message():
    assert messages(DUE.sending(0).adopted(FIRST, ()).posted(0, FIRST, "face", ())) == [("posted", "1.0")]


def test_a_message_in_another_channel_is_no_answer_to_a_lost_post():
    elsewhere = MessageRef("slack", "C09", "1.0")
    assert messages(DUE.sending(0).adopted(elsewhere, ())) == [("sending", ""), ("posted", "1.0")]
    assert messages(DUE.adopted(FIRST, ())) == [("due", ""), ("posted", "1.0")]  # nothing was sent there yet


def test_a_known_copy_is_only_shown_anew():
    done = DUE.sending(0).posted(0, FIRST, "face", ("decided",))
    assert done.adopted(FIRST, ("decided", "live")) == done.having(0, face="")


def test_copies_do_not_grow_for_ever():
    cards = DUE
    for number in range(2 * MOST_COPIES):
        cards = cards.adopted(MessageRef("slack", "C09", f"{number}.0"), ())
    assert len(cards.copies) == MOST_COPIES


def test_anew_sends_all_again_also_what_was_refused_but_not_what_may_have_arrived_twice():
    done = DUE.sending(0).posted(0, FIRST, "face", ())
    assert done.anew().copies[0].face == ""
    assert done.having(0, state="refused").anew().copies[0].state == "posted"
    assert DUE.having(0, state="refused").anew().copies[0].state == "due"
    assert DUE.having(0, state="unknown", tries=2).anew().copies[0].state == "unknown"


async def test_a_change_goes_over_what_others_changed_meanwhile():
    records = memory_store().records
    old = await records.read([layout.cards_key(REQUEST)])
    await change(records, REQUEST, lambda cards: cards.sending(0), begin=DUE)
    stands = await change(records, REQUEST, lambda cards: cards.adopted(FIRST, ()), begin=DUE, first=old)
    assert messages(stands) == [("posted", "1.0")]
    assert stands == cards_in(await records.read([layout.cards_key(REQUEST)]), REQUEST)


async def test_without_a_record_nothing_is_changed_and_nothing_is_told():
    store = memory_store()
    assert await change(store.records, REQUEST, Cards.anew, event="card.refresh") == Cards()
    assert await store.outbox.unread() == []


async def test_what_changes_nothing_is_not_written():
    records = memory_store().records
    for _ in range(2):
        await change(records, REQUEST, lambda cards: cards.having(0, face=""), begin=DUE.sending(0))
    assert (await records.read([layout.cards_key(REQUEST)])).records[layout.cards_key(REQUEST)].version == 0


def test_a_record_of_a_newer_version_is_refused_by_name():
    seen = Snapshot(NOW, {layout.cards_key(REQUEST): Versioned(1, '{"v":2}')})
    with pytest.raises(NewerRecord):
        cards_in(seen, REQUEST)
