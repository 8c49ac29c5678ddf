"""Read records as people do: with what was typed put back into them."""

from __future__ import annotations

import json
from typing import Any

from approvers.texts import restore
from workers.stores.port import Store


async def records_of(store: Store, subject: str) -> list[dict[str, Any]]:
    """Return the records of a subject, oldest first, with their texts in place."""
    texts = await store.log.texts([subject])
    return [restore(json.loads(body), texts) for body in await store.log.chain(subject)]
