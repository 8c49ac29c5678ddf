"""The tenant's state: who is where, and what was written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.worlds.teams.journal import Refused
from tests.worlds.teams.state import CannotDo, Message, Person, Place, Private, Team, content

MESSAGE_ID = ";messageid="


class Board:
    """Hold people, places and messages."""

    def __init__(self, clock: Callable[[], float], touch: Callable[[], None]) -> None:
        self.clock, self.touch = clock, touch
        self.people: dict[str, Person] = {}
        self.teams: dict[str, Team] = {}
        self.places: dict[str, Place] = {}
        self.messages: dict[str, Message] = {}
        self.privates: dict[str, list[Private]] = {}
        self._number = 1_790_000_000_000

    def number(self) -> str:
        """Return the next message id."""
        self._number += 1
        return str(self._number)

    def person(self, name: str) -> Person:
        if name not in self.people:
            raise CannotDo(f"there is nobody called {name}: add_person() first")
        return self.people[name]

    def place(self, place_id: str) -> Place:
        if place_id not in self.places:
            raise CannotDo(f"there is no {place_id}: add_channel() first")
        return self.places[place_id]

    def personal(self, name: str) -> Place:
        """Return the chat of a person with the app, made if need be."""
        place_id = f"a:1{self.person(name).name}"
        return self.places.setdefault(place_id, Place(place_id, "personal", name, members={name}))

    def by_user_id(self, user_id: str) -> Person | None:
        return next((it for it in self.people.values() if user_id in {it.user_id, it.object_id}), None)

    def inside(self, place: Place) -> list[Message]:
        return [it for it in self.messages.values() if it.place == place.id]

    # --- what the connector does; raises Refused

    def target(self, conversation: str, *, writing: bool) -> tuple[Place, str | None]:
        """Return the place and the thread's root that a conversation id names."""
        place_id, _, root = conversation.partition(MESSAGE_ID)
        place = self.places.get(place_id)
        if place is None or (place.kind == "personal" and not place.has_bot and not self.inside(place)):
            raise Refused(404, "ConversationNotFound", "Conversation not found.")
        if root and (place.kind != "channel" or self.messages.get(root) not in self.inside(place)):
            raise Refused(404, "ConversationNotFound", f"There is no thread {root}.")
        self.may(place, writing=writing)
        return place, root or None

    def may(self, place: Place, *, writing: bool) -> None:
        """Refuse where the app is not installed or is blocked."""
        if not place.has_bot:
            words = "The bot is not part of the conversation roster."
            raise Refused(403, "BotNotInConversationRoster", words, "BotNotInConversationRoster")
        if writing and place.blocked:
            words = "The bot was blocked or uninstalled by the user."
            raise Refused(403, "ConversationBlockedByUser", words, "MessageWritesBlocked")

    def put(self, place: Place, raw: Mapping[str, Any], reply_to: str | None = None, by: str | None = None) -> Message:
        """Store a new message."""
        message = Message(
            id=self.number(), place=place.id, reply_to=reply_to, by=by, at=self.clock(), raw=raw, **content(raw)
        )
        self.messages[message.id] = message
        self.touch()
        return message

    def own(self, place: Place, message_id: str, root: str | None) -> Message:
        """Return the app's own message, or refuse."""
        message = self.messages.get(message_id)
        if message is None or message.place != place.id or (root and root not in {message.id, message.reply_to}):
            raise Refused(404, "ActivityNotFoundInConversation", f"There is no message {message_id} here.")
        if not message.ours:
            raise Refused(403, "MessageNotOwned", "Only the author changes a message.")
        return message

    def change(self, message: Message, raw: Mapping[str, Any]) -> None:
        """Replace a message for everybody; what a single person saw in its place goes."""
        self.messages[message.id] = message.changed(raw)
        self.touch()

    def members(self, place: Place) -> list[Person]:
        names = sorted(place.members)
        return [self.people[it] for it in names if not self.people[it].gone]
