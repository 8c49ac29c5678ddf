"""`countersign audit erase`: forget what was typed about a request, or by a person."""

from __future__ import annotations

from typing import Annotated

import typer

from countersign.commands.common import Ended, Json, WrongOption, put, put_json, say
from countersign.errors import OTHER
from countersign.ops.connect import By, State, who, with_store
from countersign.ops.erasing import NotErased, Wish, erase, subjects_of
from countersign.ops.erasing_whose import NOTHING
from workers.stores.port import Store

CHAT = (
    "What was posted in chat and what was exported or streamed before is out of reach here: delete it there. Backups "
    "of the store hold the texts until they are gone."
)


def command(
    *,
    request: Annotated[str, typer.Option("--request", metavar="ID", help="Everything typed about this request.")] = "",
    person: Annotated[str, typer.Option("--person", metavar="user:NAME", help="What this person typed.")] = "",
    why: Annotated[str, typer.Option("--why", help="Why, for the log. No personal data.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    by: By = None,
    json_: Json = False,
    state: State = None,
) -> None:
    """Forget what was typed. The records stay, with a mark for each text, and verify as before; it cannot be undone.

    Only requests that have ended are touched. Run it again as often as you like.
    """
    if bool(request) == bool(person):
        raise WrongOption("name a request or a person", field="--request")
    if person and not person.startswith("user:"):
        raise WrongOption("people are named user:NAME", field="--person")
    wish = Wish(why, who(by), person or None, dry_run)

    async def work(store: Store) -> tuple[dict[str, int], dict[str, str]]:
        done, held = dict[str, int](), dict[str, str]()
        for subject, quotes in ({request: NOTHING} if request else await subjects_of(store, person)).items():
            try:
                done[subject] = await erase(store, subject, wish, quotes)
            except NotErased as error:
                held[subject] = str(error)
        return done, held

    done, held = with_store(state, work)
    count = sum(done.values())
    if json_:
        put_json({"erased": done, "held": held, "dry_run": dry_run})
    else:
        put(f"{count:,} texts {'would be erased' if dry_run else 'erased'}")
        for reason in held.values():
            say(f"not erased: {reason}")
        say(CHAT)
    if held:
        raise Ended(OTHER)
