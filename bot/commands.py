"""Answer what people type to Countersign in chat: the same words, and the same answers, on every surface.

A command knows nothing of Slack or Teams: it takes a proven person and text, and returns a `Reply`. What cannot be
understood is answered with the command's usage; what may not be done raises, once it is on the record. Nothing is
approved by a command: what is approved has to be seen.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from approvers.errors import CountersignError, Forbidden, Malformed
from bot.commands_act import Acting
from bot.commands_look import Looking
from bot.commands_words import Misread, first_word, identifier, nearest_word, wants_break_glass
from bot.deps import Deps
from bot.identity import Identity
from bot.problems import describe
from bot.replies import Reply

Run = Callable[[Identity, str], Awaitable[Reply]]
ALIASES = {"ls": "list", "live": "active", "explain": "why", "history": "audit", "ask": "request", "?": "help"}
ON_CARDS = frozenset({"approve", "deny", "accept", "reject", "ok", "yes", "no"})
"""Words that people try; what they mean is done on the card."""


@dataclass(frozen=True)
class Command:
    """One command: its usage without the name, what it does in a line, an example, and the function."""

    usage: str
    about: str
    example: str
    run: Run


class Commands:
    """Run commands. `prefix` is what people write before them on this surface, such as `/countersign `."""

    def __init__(self, deps: Deps, *, prefix: str = "") -> None:
        self._deps, self._prefix = deps, prefix
        self._looking = Looking(deps)
        self._table = self._commands(self._looking, Acting(deps, self._looking, prefix))

    async def run(self, who: Identity, text: str) -> Reply:
        """Return the answer to one command.

        Raises:
            CountersignError: a refusal, in words for this person. Those that are about rights are recorded.
        """
        word, rest = first_word(text)
        name = ALIASES.get(word, word) or "help"
        if name in ON_CARDS:
            return await self._on_the_card(who, name, rest)
        command = self._table.get(name)
        if command is None:
            return self._unknown(word)
        try:
            if not who.is_person or not who.scopes & {"review", "read"}:
                raise Forbidden(f"{who.principal} may not use commands; people do.", code="people_only")
            return await command.run(who, rest)
        except Misread as misread:
            return self._usage(str(misread), name, command)
        except Malformed as malformed:  # a day that is none, a target that names nothing
            return self._usage(malformed.detail, name, command)
        except CountersignError as error:
            await self._recorded(who, name, error)
            raise

    async def _help(self, _who: Identity, rest: str) -> Reply:
        """Return every command with a line each, or one with its usage."""
        name = first_word(rest)[0]
        if name in self._table:
            return self._usage(self._table[name].about, name, self._table[name])
        lines = [f"{self._write(name, one)} · {one.about}" for name, one in self._table.items()]
        last = "Approving and denying is done on the card: Review in `list` opens it."
        return Reply("Commands", lines=(*lines, last.replace("`", "")))

    async def _request(self, _who: Identity, rest: str) -> Reply:
        """Have the surface open the form: that for a review, or with `--break-glass` that for taking it at once."""
        if not wants_break_glass(rest):
            return Reply("Ask for an approval", form="request")
        if self._deps.policies.current.policy.break_glass is None:
            return Reply("There is no break-glass here", lines=(f"Ask for a review: {self._prefix}request",))
        return Reply("Break glass", form="break_glass")

    async def _on_the_card(self, who: Identity, name: str, rest: str) -> Reply:
        """Lead to where answers are given: the card itself, or what waits."""
        title = f"There is no command {name}: answer on the card, where you see the whole of it."
        if identifier(rest):
            shown = await self._looking.show(who, rest)
            return replace(shown, title=title, lines=(shown.title,))
        waiting = await self._looking.list(who, "")
        return replace(waiting, title=title, lines=(waiting.title,))

    def _unknown(self, word: str) -> Reply:
        meant = nearest_word(word, self._table)
        lines = (f"Did you mean {self._prefix}{meant}?",) if meant else ()
        return Reply(f"There is no command {word[:40]!r}", lines=(*lines, f"{self._prefix}help shows all."))

    def _usage(self, title: str, name: str, command: Command) -> Reply:
        lines = [f"Write: {self._write(name, command)}"]
        if command.example:
            lines.append(f"Such as: {self._prefix}{command.example}")
        return Reply(title, lines=tuple(lines))

    def _write(self, name: str, command: Command) -> str:
        return f"{self._prefix}{name} {command.usage}".rstrip()

    async def _recorded(self, who: Identity, name: str, error: CountersignError) -> None:
        """Write down that somebody was refused what was not theirs to do; a wrong id is no refusal."""
        told = describe(error)
        if told.kind.status == 403:
            await self._deps.refusals.asked(who, "call.refused", f"command {name}", told, who.by.iss)

    def _commands(self, looking: Looking, acting: Acting) -> Mapping[str, Command]:
        """Return the table, in the order in which people need them at night."""
        return {
            "list": Command("", "what waits, yours first", "", looking.list),
            "active": Command("[ACTOR]", "what is live, and until when", "active agent:report-bot", looking.active),
            "revoke": Command(
                "[ID | actor:NAME | role:NAME | all] [--dry-run] [reason]",
                "take away, and see the proof",
                "revoke K7QF leaked key",
                acting.revoke,
            ),
            "freeze": Command("REASON", "stop all approvals and mints", "freeze odd reads at night", acting.freeze),
            "show": Command("[ID]", "one request, whole", "show K7QF", looking.show),
            "why": Command("[ID]", "which rules asked, and on what", "why K7QF", looking.why),
            "audit": Command("[ID]", "its records, and whether they are whole", "audit K7QF", looking.audit),
            "unfreeze": Command("REASON", "let it go on (on-call)", "unfreeze false alarm", acting.unfreeze),
            "console": Command("", "a sign-in link, for you alone", "", acting.console),
            "away": Command(
                "[until DAY → PERSON | off]", "lend your seats", "away until Mon → bob", acting.away
            ),
            "request": Command(
                "[--break-glass]", "ask for an approval yourself", "request --break-glass", self._request
            ),
            "help": Command("[COMMAND]", "this", "help revoke", self._help),
        }  # fmt: skip
