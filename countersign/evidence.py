"""Ask the server what auditors ask: one request's records, a search, a report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from approvers.ids import request_of
from countersign.errors import BadAnswer
from countersign.transport import Call, Transport

REPORT_SECONDS = 600.0
"""For how long a report over a long period may be in the making."""


class Evidence:
    """The part of the client that reads what happened."""

    _transport: Transport

    async def evidence(self, request: str) -> Mapping[str, Any]:
        """Return the records of one request, by an id or a handle, and as `bodies` the bytes that are hashed."""
        name = request_of(request) if request.startswith("grt_") else request
        call = Call("GET", f"/v1/audit/{quote(name, safe='')}", query={"bodies": "1"})
        answer = await self._transport.call(call)
        if not isinstance(answer.get("records"), list) or not isinstance(answer.get("bodies"), list):
            raise BadAnswer("The answer holds no records.")
        return answer

    async def search(self, query: Mapping[str, str]) -> Mapping[str, Any]:
        """Return one step of a search: what was `found`, and as `next` what to send as `after` for the next one."""
        answer = await self._transport.call(Call("GET", "/v1/audit", query=query))
        if not isinstance(answer.get("found"), list):
            raise BadAnswer("The answer does not say what was found.")
        return answer

    async def access_report(self, since: str, until: str = "") -> Mapping[str, Any]:
        """Return who had what between two days or moments (UTC); `until` is not part of it, left out it is now."""
        query = {"from": since, **({"to": until} if until else {})}
        answer = await self._transport.call(Call("GET", "/v1/reports/access", query=query, held=REPORT_SECONDS))
        if not isinstance(answer.get("grants"), list):
            raise BadAnswer("The answer is no report.")
        return answer
