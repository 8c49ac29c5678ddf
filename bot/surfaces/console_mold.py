"""Keep apart what all viewers of a fragment share and what belongs to one of them: a form token, and a note.

Templates leave places for these, so that a fragment is rendered once for all who look. The places carry random names:
no text that somebody typed can be taken for one.
"""

from __future__ import annotations

import re
import secrets

from jinja2 import Environment
from markupsafe import Markup

from bot.surfaces.console_notes import Note


class Mold:
    """Mark where a fragment takes what belongs to one viewer, and fill it in."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._nonce = secrets.token_hex(8)
        self._unused = re.compile(f"<!--{self._nonce} [^>]*-->")
        self.form_token = f"form-token-{self._nonce}"

    def note(self, request_id: str) -> Markup:
        """Return the place of the note on one request."""
        return Markup("<!--{} {}-->").format(self._nonce, request_id)

    def pour(self, html: str, form_token: str, note: Note | None = None) -> tuple[str, bool]:
        """Return the fragment for one viewer, and whether the note has found its place."""
        html = html.replace(self.form_token, form_token)
        place = str(self.note(note.on)) if note else ""
        placed = bool(place) and place in html
        if placed:
            html = html.replace(place, self._env.get_template("_note.html").render(note=note), 1)
        return self._unused.sub("", html), placed
