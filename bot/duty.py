"""Say who may stop things: any reviewer may take away and freeze, an on-call group lifts a freeze and revokes all.

An operator's key may do each: it belongs to whoever runs Countersign. Asked at the moment of the act.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from approvers.errors import Forbidden
from bot.identity import Identity

if TYPE_CHECKING:
    from bot.directory import Directory


async def check_reviewer(who: Identity, directory: Directory, what: str) -> None:
    """Raise Forbidden (`not_a_reviewer`) unless this is a reviewer or an operator; `what` continues "may"."""
    if "operate" in who.scopes:
        return
    if "review" not in who.scopes or not await directory.is_reviewer(who.principal):
        raise Forbidden(f"Only reviewers may {what}; {who.principal} is in no group that reviews.",
                        code="not_a_reviewer")  # fmt: skip


async def check_on_call(who: Identity, directory: Directory, what: str) -> None:
    """Raise Forbidden (`not_on_call`) unless this is somebody on call or an operator; `what` continues "may"."""
    if "operate" in who.scopes:
        return
    if "review" not in who.scopes or not await directory.is_on_call(who.principal):
        raise Forbidden(f"Only people on call may {what}; {who.principal} is in no group that is on call now.",
                        code="not_on_call")  # fmt: skip
