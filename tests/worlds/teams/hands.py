"""What people do: press buttons, type, add and remove the app. Each returns what went out and what they then see."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.worlds.teams import schema
from tests.worlds.teams.activities import Activities, bot_account
from tests.worlds.teams.board import Board
from tests.worlds.teams.delivery import CARD_ANSWER, TOAST, UNREACHABLE, WRONG, Courier, Delivery
from tests.worlds.teams.forms import gather
from tests.worlds.teams.journal import Refusal
from tests.worlds.teams.reading import Button
from tests.worlds.teams.server import Server
from tests.worlds.teams.state import CannotDo, Message, Person, Place, Private, Shown


class Hands:
    """The people of the tenant, acting."""

    board: Board
    courier: Courier
    server: Server
    activities: Activities

    async def click(
        self,
        person: str,
        where: Message | Private,
        verb_or_title: str,
        inputs: Mapping[str, Any] | None = None,
        *,
        fallback: bool = False,
        automatic: bool = False,
        in_flight: bool = False,
    ) -> Delivery:
        """Press the button with this verb or title, its card's inputs filled in.

        `where` may be older than what is there now: a screen that was not refreshed. With `fallback` an old client
        presses, which knows Action.Submit alone. `automatic` marks it as a refresh by the client. `in_flight`: the
        person was removed after pressing. CannotDo: nobody could press it there.
        """
        who, message = self.board.person(person), where.message if isinstance(where, Private) else where
        assert message is not None
        place = self._reachable(who, where, message, in_flight=in_flight)
        button = one_button(where, verb_or_title)
        values, complaint = gather(where, button, inputs or {})
        if complaint is not None:
            return Delivery(user_error=complaint)
        submit = button.fallback if fallback and button.type == "Action.Execute" else None
        if fallback and submit is None and button.type == "Action.Execute":
            raise CannotDo(f"{button.title!r} has no fallback: an old client does not show it")
        if submit is not None or button.type == "Action.Submit":
            data = {**(button.data if submit is None else submit.get("data", {})), **values}
            return await self.courier.bring(self.activities.submit(who, place, message, data))
        trigger = "automatic" if automatic else "manual"
        activity = self.activities.execute(who, place, message, button, {**button.data, **values}, trigger)
        return self._answered(who, message, await self.courier.bring(activity))

    async def execute(
        self, person: str, message: Message, verb: str, data: Mapping[str, Any], *, trigger: str | None = "manual"
    ) -> Delivery:
        """Send a click that no card offers: any verb, any data, signed as Teams' own."""
        who, place = self.board.person(person), self.board.place(message.place)
        activity = self.activities.execute(who, place, message, Button("", verb, verb), dict(data), str(trigger))
        if trigger is None:
            del activity["value"]["trigger"]
        return self._answered(who, message, await self.courier.bring(activity))

    async def submit(self, person: str, message: Message, data: Mapping[str, Any]) -> Delivery:
        """Send an Action.Submit that no card offers."""
        who, place = self.board.person(person), self.board.place(message.place)
        return await self.courier.bring(self.activities.submit(who, place, message, dict(data)))

    def _reachable(self, who: Person, where: Shown, message: Message, *, in_flight: bool) -> Place:
        place = self.board.place(message.place)
        if who.name not in place.members and not in_flight:
            raise CannotDo(f"{who.name} is not a member of {place.id}")
        if not message.ours:
            raise CannotDo("this is not a message of the app")
        if isinstance(where, Private) and where not in self.board.privates.get(who.name, []):
            raise CannotDo(f"{who.name} does not see this card")
        return place

    def _answered(self, who: Person, message: Message, delivery: Delivery) -> Delivery:
        """Show what the answer to an invoke says."""
        if not delivery.ok:
            return delivery
        try:
            answer = json.loads(delivery.body)
            status, kind, value = answer["statusCode"], answer["type"], answer["value"]
        except (ValueError, KeyError, TypeError) as error:
            return self._bad(delivery, f"no invoke answer: {error!r}", UNREACHABLE)
        if delivery.status != 200:
            return self._bad(delivery, f"an invoke is answered with 200, not {delivery.status}", UNREACHABLE)
        if status == 200 and kind == TOAST and isinstance(value, str) and value:
            self._show(who, Private(text=value, text_format="plain", kind="toast"), message)
            return replace(delivery, toast=value)
        if status == 200 and kind == CARD_ANSWER:
            if found := schema.faults_of(value):
                return self._bad(delivery, "; ".join(found[:5]), WRONG)
            self._show(who, Private(card=value, kind="card"), message)
            return replace(delivery, card=value)
        if status in {400, 500} and isinstance(value, dict) and isinstance(value.get("message"), str):
            return replace(delivery, user_error=f"{WRONG} {value['message']}")
        return self._bad(delivery, f"statusCode {status} with {kind}", WRONG)

    def _show(self, who: Person, private: Private, message: Message) -> None:
        edited = self.board.messages.get(message.id, message).edited
        self.board.privates.setdefault(who.name, []).append(replace(private, message=message, edited=edited))
        self.board.touch()

    def _bad(self, delivery: Delivery, why: str, shown: str) -> Delivery:
        self.server.refusals.append(Refusal("answer", delivery.status or 0, "BadAnswer", why))
        return replace(delivery, user_error=shown)

    async def say(
        self,
        person: str,
        place_id: str | None,
        text: str,
        *,
        thread: Message | None = None,
        mention: bool | None = None,
    ) -> Delivery:
        """Type something: into a channel or chat with a mention of the app, or (None) into the chat with the app.

        Without a mention the app hears of it only in the personal chat. `thread`: as an answer to this message.
        """
        who = self.board.person(person)
        place = self.board.personal(person) if place_id is None else self.board.place(place_id)
        if person not in place.members:
            raise CannotDo(f"{person} is not a member of {place.id}")
        mentioned = (place.kind != "personal") if mention is None else mention
        if mentioned and not place.has_bot:
            raise CannotDo(f"the app is not installed in {place.id}: install() first")
        root = (thread.reply_to or thread.id) if thread is not None else None
        message = self.board.put(place, {"type": "message", "text": text, "textFormat": "plain"}, root, person)
        if not place.has_bot or not (mentioned or place.kind == "personal"):
            return Delivery()
        return await self.courier.bring(self.activities.text(who, place, message, text, mentioned))

    async def install(self, where: str, by: str | None = None, *, tell: bool = True) -> list[Delivery]:
        """Add the app: to a channel or chat (its id), a whole team (its id), or for a person (the name).

        A whole team is told of through its General channel alone. The app hears of it if it is connected, and `tell`.
        """
        return await self._installation(where, by, there=True, tell=tell)

    async def uninstall(self, where: str, by: str | None = None, *, tell: bool = True) -> list[Delivery]:
        """Remove the app; it is told as in `install`."""
        return await self._installation(where, by, there=False, tell=tell)

    async def delete_channel(self, channel_id: str, by: str = "admin", *, tell: bool = True) -> Delivery:
        """Delete a channel with all that is in it."""
        place = self.board.place(channel_id)
        activity = self.activities.channel_deleted(self.board.person(by), place)
        for message in self.board.inside(place):
            del self.board.messages[message.id]
        del self.board.places[channel_id]
        return await self.courier.bring(activity) if tell and self.courier.url else Delivery()

    async def redeliver(self, delivery: Delivery) -> Delivery:
        """Deliver the same activity once more with a new token, as after an answer that got lost."""
        return await self.courier.bring(delivery.activity)

    async def _installation(self, where: str, by: str | None, *, there: bool, tell: bool) -> list[Delivery]:
        place = self.board.personal(where) if where in self.board.people else self.board.places.get(where)
        if where in self.board.teams:
            team = self.board.teams[where]
            team.installed = there
            place = place or Place(team.id, "channel", "General", team)
        if place is None:
            raise CannotDo(f"there is no place or person {where}")
        place.installed = there
        if self.courier.url is None or not tell:
            return []
        who = self.board.person(by or min(place.members, default="") or "admin")
        change = "membersAdded" if there else "membersRemoved"
        sent = [
            self.activities.installation(who, place, "add" if there else "remove"),
            self.activities.roster(who, place, change, [dict(bot_account())]),
        ]
        return [await self.courier.bring(it) for it in sent]


def one_button(shown: Shown, verb_or_title: str) -> Button:
    """Return the one button that sends something and has this verb, or else this title (in front before behind)."""
    every = shown.actions()
    sending = [it for it in every if it.decides]
    fitting = (
        [it for it in sending if verb_or_title in {it.verb, it.data.get("verb")}]
        or [it for it in sending if it.title == verb_or_title and it.behind is None]
        or [it for it in sending if it.title == verb_or_title]
    )
    if len(fitting) != 1 or not fitting[0].enabled:
        offered = [f"{it.title} ({it.verb or it.type})" for it in every]
        raise CannotDo(f"{len(fitting)} buttons are {verb_or_title!r}; there are {offered}")
    return fitting[0]
