"""The commands that only look: what waits, what is live, one request whole, why it was asked, its records."""

from __future__ import annotations

from approvers.card import render
from approvers.request import RequestState
from approvers.storytelling import in_short
from bot import commands_rows as rows
from bot.commands_why import why
from bot.commands_words import identifier
from bot.deps import Deps
from bot.identity import Identity
from bot.mine import sort_out
from bot.reading import NotFound, View
from bot.replies import Choice, Reply
from bot.stories import story_of

MAX_RECORDS = 25
"""Records told in one answer, the newest; the console has all."""
QUESTIONS = {"show": "Show which one?", "why": "Explain which one?", "audit": "Whose records?"}


class Looking:
    """Answer what can be asked without changing anything."""

    def __init__(self, deps: Deps) -> None:
        self._deps, self._reader = deps, deps.reader

    async def list(self, who: Identity, _rest: str) -> Reply:
        """Return what waits: what waits for this person first."""
        mine, others = await sort_out(self._deps, who.principal, await self._reader.waiting())
        found = [rows.waiting(view, mine=True) for view in mine] + [rows.waiting(view, mine=False) for view in others]
        shown, hidden = rows.shortened(found)
        if not found:
            return Reply("Nothing waits.")
        verb = "waits" if len(found) == 1 else "wait"
        return Reply(f"{len(found)} {verb}, {len(mine) or 'none'} for you", rows=shown, hidden=hidden)

    async def show(self, who: Identity, rest: str) -> Reply:
        """Return the card of one request."""
        if not identifier(rest):
            return await self.pick("show", who)
        view = await self.find(who, rest)
        book, now = self._deps.policies.current, await self._deps.store.records.now()
        waits = view.request.state is RequestState.PENDING
        stand_ins = book.stand_ins(view.request.ruling.seats, now) if waits else ()
        card = render(view.request, view.grant, stand_ins=stand_ins)
        return Reply(f"{card.handle}: {card.status}", card=card, link=self.page(view))

    async def why(self, who: Identity, rest: str) -> Reply:
        """Return which rules decided one request, and on what."""
        if not identifier(rest):
            return await self.pick("why", who)
        view = await self.find(who, rest)
        title = f"{view.request.handle}: why {view.request.ruling.effect}"
        said = why(view.request, self._deps.policies.current)
        return Reply(title, lines=(rows.title(view), *said), link=self.page(view))

    async def audit(self, who: Identity, rest: str) -> Reply:
        """Return the records of one request in plain sentences, and whether their chain is whole."""
        if not identifier(rest):
            return await self.pick("audit", who)
        view = await self.find(who, rest)
        told = await story_of(self._deps.store.log, view.request)
        day = f"{view.request.submitted_at:%d %b %Y}, UTC"
        count = len(told.records)
        whole = f"{count} record{'' if count == 1 else 's'}, the chain is whole"
        title = f"{view.request.handle}: {f'THE CHAIN IS BROKEN: {told.fault}' if told.fault else whole}"
        lines = [line for line in in_short(told.story, MAX_RECORDS) if line != told.chain]
        return Reply(title, lines=(day, *lines), link=self.page(view))

    async def active(self, _who: Identity, rest: str) -> Reply:
        """Return what is live, with its end; of one actor, or of all and then a picker of actors."""
        now = await self._deps.store.records.now()
        views = [view for view in await self._reader.live() if view.grant is not None]
        actors = list(dict.fromkeys(view.request.actor for view in views))
        wanted = identifier(rest).removeprefix("actor:")
        matching = [view for view in views if wanted in ("", view.request.actor, view.request.actor.partition(":")[2])]
        found, hidden = rows.shortened([rows.live(view, now) for view in matching])
        if not matching:
            return Reply(f"Nothing of {wanted} is live." if wanted else "Nothing is live.", choices=_actors(actors))
        of = f" of {wanted}" if wanted else ""
        choices = _actors(actors) if not wanted and len(actors) > 1 else ()
        return Reply(f"{len(matching)}{of} {'is' if len(matching) == 1 else 'are'} live", rows=found, hidden=hidden,
                     choices=choices)  # fmt: skip

    async def pick(self, command: str, who: Identity) -> Reply:
        """Return a picker of what waits, what is live, and what this person decided lately."""
        views = await self._reader.waiting() + await self._reader.live() + await self._reader.decided(who.principal)
        choices = rows.choices(command, views)
        if not choices:
            return Reply(
                "Nothing waits and nothing is live.", lines=(f"Of what has ended, give the id: {command} req_…",)
            )
        return Reply(QUESTIONS[command], choices=choices)

    async def find(self, who: Identity, text: str) -> View:
        """Return the request of an id or handle; of what has ended, those that this person answered have one, too.

        Raises:
            NotFound: with what to write instead.
        """
        word = identifier(text)
        try:
            return await self._reader.look(await self._reader.by_handle(word))
        except NotFound as missing:
            for view in await self._reader.decided(who.principal):
                if view.request.handle == word.upper():
                    return view
            raise NotFound(f"{missing.detail} Of what has ended, give the whole id, req_…") from missing

    def page(self, view: View) -> tuple[str, str]:
        """Return label and address of a request's page in the console."""
        return "Open in the console", f"{self._deps.settings.base_url}/console/requests/{view.request.id}"


def _actors(actors: list[str]) -> tuple[Choice, ...]:
    return tuple(Choice(actor, f"active {actor}") for actor in actors[:100])
