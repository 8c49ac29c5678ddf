"""Say what went wrong to the one who waits, in the same words on every chat platform."""

from __future__ import annotations

from bot.surfaces.port import SurfaceError
from workers.stores.port import Conflict, Fenced, StoreError, TooLate

LIMIT_SECONDS = 2.5
"""How long a listener may take: what is not committed by then is cancelled: an answer that said no is then true."""
TOO_SLOW = (
    "Not recorded: this took too long, and was stopped. Should the card change all the same, it was; "
    "otherwise try again."
)
OUR_FAULT = "Our fault: something went wrong here. Should the card not change, nothing was recorded: try again later."
NO_STORE = "The store does not answer; nothing is decided. Try again."


def words_for(error: Exception, platform: str) -> str:
    """Say what an error of the store, of the platform or of the clock means for the one who waits."""
    match error:
        case TooLate():
            return "The time for this is over."
        case Conflict() | Fenced():
            return "Others changed the same thing at the same time; nothing was decided. Try again."
        case StoreError():
            return NO_STORE
        case SurfaceError():
            return f"{platform} did not do its part of this just now. Try again."
        case _:
            return TOO_SLOW
