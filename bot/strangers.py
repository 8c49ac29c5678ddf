"""Say why somebody is nobody here, in the same codes and words on every chat platform. Pure.

A platform's module subclasses `Stranger` with its own names; what makes an account a stranger is its own business.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from approvers.errors import CountersignError

WORDS = {
    "deactivated": "This {platform} account is deactivated.",
    "bot": "Bots decide nothing here.",
    "guest": "Guests of this {home} decide nothing here.",
    "external": "Your account belongs to another organisation; only members of this one decide here.",
    "unconfirmed": "The e-mail address of this {platform} account is not confirmed; confirm it in {platform}, then try "
    "again.",
    "unknown_person": "Countersign does not know this {platform} account. Ask whoever keeps countersign.toml to add "
    '{key} = "{account}" to your name there.',
    "two_people": "This {platform} account fits more than one person in countersign.toml; ask whoever keeps it to put "
    '{key} = "{account}" under one name only.',
    "not_checked": "{platform} did not say who you are just now, so nothing was done. Try again in a moment.",
}
"""What a stranger is told. Each name is the error's code, but for `two_people`: they are unknown, too."""


class Stranger(CountersignError):
    """Whoever this is, they are nobody here; `code` says why.

    Attributes:
        platform: what people call it, such as `Slack`.
        home: what an organisation has there, such as `Slack workspace`.
        key: the key of `[person]` in countersign.toml that names the account.
        own: words of this platform in place of those above.
    """

    code = "unknown_person"
    platform: ClassVar[str] = "chat"
    home: ClassVar[str] = "organisation"
    key: ClassVar[str] = "account"
    own: ClassVar[Mapping[str, str]] = {}

    def __init__(self, why: str, account: str = "") -> None:
        """Take one of `WORDS`, and the account as it is to be written into countersign.toml."""
        names = {"platform": self.platform, "home": self.home, "key": self.key, "account": account}
        super().__init__({**WORDS, **self.own}[why].format(**names))
        self.code = "unknown_person" if why == "two_people" else why
