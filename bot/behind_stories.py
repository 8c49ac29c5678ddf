"""Read what came of requests, and who is to be told of it where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from approvers.ids import grant_of
from approvers.request import Request
from bot.behind_record import told_in, told_key
from bot.behind_words import Note, notes, person_behind
from bot.postings_routes import account
from bot.reading import Reader
from bot.surfaces.port import Surface
from workers import logs
from workers.policies import Policies
from workers.stores import layout
from workers.stores.port import Records, Snapshot

_log = logs.get_logger(__name__)


@dataclass(frozen=True)
class Story:
    """What came of one request so far that its person (bare name) was not told."""

    person: str
    request: Request
    owed: tuple[Note, ...]


class Stories:
    """Read stories, in few round trips."""

    def __init__(
        self, records: Records, policies: Policies, reader: Reader, surfaces: Mapping[str, Surface]
    ) -> None:  # fmt: skip
        """Read from this store; who can be told is for the roster and these surfaces to say."""
        self._records, self._policies, self._reader, self._surfaces = records, policies, reader, surfaces

    async def read(self, requests: Sequence[str]) -> dict[str, Story]:
        """Return what is owed for these; what can be told to nobody is left out, and what cannot be read is logged.

        Raises:
            NotConfigured: there are no rules yet.
        """
        if self._policies.roster is None:
            await self._policies.refresh()
        seen = await self._records.read([key for one in requests for key in _keys(one)])
        stories: dict[str, Story] = {}
        for one in requests:
            try:
                story = self._story(seen, one)
            except Exception as error:  # one record that nobody can read must not silence all others
                _log.error("behind.not_read", request=one, exc_info=error)
                continue
            if story:
                stories[one] = story
        return stories

    def accounts(self, name: str) -> Iterator[tuple[Surface, str]]:
        """Yield where a person (bare name) can be told something, the preferred platform first."""
        person = self._policies.current.roster.persons.get(name)
        for surface in self._surfaces.values():
            if person and (found := account(person, surface.name)):
                yield surface, found

    def _story(self, seen: Snapshot, name: str) -> Story | None:
        request, known = self._reader.parse(seen, name), seen.records[layout.grant_key(grant_of(name))].version
        person = person_behind(request)
        if person is None or not any(True for _ in self.accounts(person)):
            return None
        found = notes(request, self._reader.parse_grant(seen, grant_of(name)) if known else None)
        owed = told_in(seen, name).owed([kind for kind, _ in found])
        return Story(person, request, tuple(note for note in found if note[0] in owed)) if owed else None


def _keys(request: str) -> tuple[str, str, str]:
    return layout.request_key(request), layout.grant_key(grant_of(request)), told_key(request)
