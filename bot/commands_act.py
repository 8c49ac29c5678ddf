"""The commands that change something: take away, stop, let go on, lend a seat, sign in to the console."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from approvers.away import Lent, parse_until
from approvers.card import status
from approvers.errors import Forbidden, Malformed
from approvers.roster import Roster
from approvers.targets import Target
from bot import commands_rows as rows
from bot.commands_look import Looking
from bot.commands_words import Misread, first_word, nearest_word, parse_away, parse_revoke, sentence
from bot.deps import Deps
from bot.identity import Identity
from bot.reading import View
from bot.replies import Reply, Row
from bot.revocations import ended
from bot.sessions import LINK_LASTS, Sessions

REASON = "revoked by a command"
BACK = frozenset({"off", "end", "back", "stop", "none"})
"""Words after `away` that take one's seats back."""


class Acting:
    """Carry out what changes something; each is one call of a use case, which asks who may."""

    def __init__(self, deps: Deps, looking: Looking, prefix: str) -> None:
        self._deps, self._looking, self._prefix = deps, looking, prefix

    async def revoke(self, who: Identity, rest: str) -> Reply:
        """Take away what the target names; alone, ask what; with --dry-run, only show it."""
        words = parse_revoke(rest)
        if not words.target:
            return await self._pick(dry_run=words.dry_run)
        revocations, target = self._deps.revocations, _target(words.target, self._deps.policies.current.roster)
        if target.kind == "grant":
            view = await self._looking.find(who, target.name)
            if view.grant is None or ended(view):
                return _not_live(view)
            target = Target("grant", view.request.id)
        if words.dry_run:
            return await self._dry_run(who, target)
        done = await revocations.revoke(who, target, words.reason or REASON)
        if not done:
            return Reply("Nothing live matches", lines=(str(target),))
        going = [view for view in done if not ended(view)]
        found, hidden = await self._rows(done)
        title = f"Revoking {len(going)}: proof follows" if going else f"Ended: {len(done)}, nothing had been issued"
        ids = tuple(view.request.id for view in going)
        return Reply(title, lines=self._hint(target), rows=found, hidden=hidden, follow=ids)

    async def freeze(self, who: Identity, rest: str) -> Reply:
        """Stop approvals and mints."""
        if not sentence(rest):
            raise Misread("Say why: everybody who is refused will read it.")
        state = await self._deps.stops.freeze(who, sentence(rest))
        live = [view for view in await self._deps.reader.live() if not ended(view)]
        left = f"{len(live)} already live: {self._prefix}revoke all ends them." if live else "Nothing is live."
        if not state.changed:
            since = f", since {state.at:%H:%M:%S} UTC" if state.at else ""
            return Reply("Frozen already", lines=(f"By {_bare(state.by)}{since}: {state.why}", left))
        return Reply("Frozen: no approval counts, and nothing is minted", lines=(f"Because: {state.why}", left))

    async def unfreeze(self, who: Identity, rest: str) -> Reply:
        """Let approvals and mints go on."""
        if not sentence(rest):
            raise Misread("Say why it may go on: it is recorded.")
        state = await self._deps.stops.unfreeze(who, sentence(rest))
        if not state.changed:
            return Reply("Nothing was frozen")
        return Reply("Not frozen any more: approvals count again", lines=(f"{self._prefix}list shows what waits.",))

    async def away(self, who: Identity, rest: str) -> Reply:
        """Lend one's seats until a day; alone, say who stands in for whom; `off` takes them back."""
        book, now = self._deps.policies.current, await self._deps.store.records.now()
        zone = book.policy.zone
        if not rest:
            lines = tuple(_stand_in(lent, zone) for lent in book.delegations if lent.until >= now)
            return Reply("Who stands in for whom" if lines else "Nobody is away", lines=lines)
        if first_word(rest)[0] in BACK:
            return await self._back(who, now)
        day, name = parse_away(rest)
        lent = await self._deps.away.lend(who, name, parse_until(day, now, zone))
        until = f"{lent.until.astimezone(zone):%a %d %b}"
        line = f"{lent.taker} may answer in your seats; what you may not decide, {lent.taker} may not decide for you."
        return Reply(f"{lent.taker} answers for you until {until}, inclusive",
                     lines=(line, f"Back early: {self._prefix}away off"))  # fmt: skip

    async def console(self, who: Identity, _rest: str) -> Reply:
        """Make a sign-in link for this person alone."""
        token, _ = await Sessions(self._deps.store.records).invite(
            who.principal, by=who.principal, proof=who.by, via=who.via
        )
        minutes = int(LINK_LASTS.total_seconds() // 60)
        line = f"The link works once, for {minutes} minutes, and signs in as you: pass it to nobody."
        link = ("Sign in to the console", f"{self._deps.settings.base_url}/console/sign-in/{token}")
        return Reply(f"Console, for {_bare(who.principal)}", lines=(line,), link=link)

    async def _back(self, who: Identity, now: datetime) -> Reply:
        if await self._deps.away.end(who):
            return Reply("Your seats are yours alone again")
        mine = _bare(who.principal)
        if any(lent.giver == mine and lent.until >= now for lent in self._deps.policies.current.delegations):
            return Reply("Your seats are lent by countersign.toml; whoever keeps that file ends it there")
        return Reply("You had lent your seats to nobody")

    async def _pick(self, *, dry_run: bool) -> Reply:
        views = [view for view in await self._deps.reader.live() if not ended(view)]
        if not views:
            return Reply("Nothing is live.")
        command = "revoke --dry-run" if dry_run else "revoke"
        return Reply("Revoke which one? It happens at once.", choices=rows.choices(command, views),
                     lines=(f"More than one: {self._prefix}revoke role:NAME, actor:NAME or all",))  # fmt: skip

    async def _dry_run(self, who: Identity, target: Target) -> Reply:
        views = await self._deps.revocations.select(target)
        if not views:
            return Reply("Nothing live matches", lines=(str(target),))
        found, hidden = await self._rows(views)
        try:
            await self._deps.revocations.check(who, target)
            line = f"Nothing was done. To do it: {self._prefix}revoke {target}"
        except Forbidden as error:
            line = f"Nothing was done. {error.detail}"
        return Reply(f"Would revoke {len(views)}", lines=(line, *self._hint(target)), rows=found, hidden=hidden)

    async def _rows(self, views: Sequence[View]) -> tuple[tuple[Row, ...], int]:
        now = await self._deps.store.records.now()
        return rows.shortened([rows.live(view, now, buttons=False) for view in views])

    def _hint(self, target: Target) -> tuple[str, ...]:
        """Say what a wide revocation leaves open while approvals go on."""
        if not target.wide or self._deps.policies.current.frozen is not None:
            return ()
        return (f"New ones can still be approved: {self._prefix}freeze REASON stops that.",)


def _target(text: str, roster: Roster) -> Target:
    """Read a target; a role's misspelt name is asked back. Raises Malformed, Misread."""
    try:
        return Target.parse(text, roster)
    except Malformed:
        if meant := nearest_word(text.lower(), roster.roles):
            raise Misread(f"Nothing here is called {text[:60]!r}; did you mean role:{meant}?") from None
        raise


def _not_live(view: View) -> Reply:
    """Say that there is no credential to take away, and how the request stands."""
    return Reply(f"{view.request.handle} has no live credential", lines=(status(view.request, view.grant),))


def _stand_in(lent: Lent, zone: ZoneInfo) -> str:
    return f"{lent.taker} answers for {lent.giver} until {lent.until.astimezone(zone):%a %d %b}"


def _bare(principal: str) -> str:
    return principal.removeprefix("user:")
