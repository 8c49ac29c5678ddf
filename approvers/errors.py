"""Name every way in which a rule says no.

Each error carries a stable `code` (part of the HTTP contract), and words that tell the person or program what to
change. "The rule says no", "the rule could not be evaluated" and "somebody was first" are different classes, because
they are different answers.
"""

from __future__ import annotations


class CountersignError(Exception):
    """Carry a stable code and a sentence for whoever asked."""

    code = "error"

    def __init__(self, detail: str, *, field: str | None = None, rule: str | None = None) -> None:
        """Keep the sentence, and the field and rule that it speaks of."""
        super().__init__(detail)
        self.detail, self.field, self.rule = detail, field, rule


class Malformed(CountersignError):
    """The bytes are not a request: bad JSON, wrong type, unknown field."""

    code = "malformed"


class NotBuilt(CountersignError):
    """The field or command is known, but not built yet; it is refused, never taken and ignored."""

    code = "not_built"


class Inadmissible(CountersignError):
    """The ask is well-formed but cannot be taken as it stands: over a cap, outside a ceiling, unknown role."""

    code = "inadmissible"


class Forbidden(CountersignError):
    """This principal may not do this; `code` says why (four-eyes, no seat, not an owner …)."""

    code = "forbidden"

    def __init__(self, detail: str, *, code: str | None = None, field: str | None = None) -> None:
        """Take a narrower code where the plain one says too little."""
        super().__init__(detail, field=field)
        if code:
            self.code = code


class AlreadyDecided(CountersignError):
    """Somebody or something was first; the detail says who and when."""

    code = "already_decided"


class Expired(CountersignError):
    """The time to answer is over, even if nobody has written that down yet."""

    code = "expired"


class Outdated(CountersignError):
    """What the person was shown is no longer what the record says."""

    code = "outdated_card"


class IllegalTransition(CountersignError):
    """The state machine has no such move; nothing was changed."""

    code = "illegal_transition"


class NotEvaluated(CountersignError):
    """A rule could not be computed. Nobody said no, and it is not a yes."""

    code = "not_evaluated"


class NewerRecord(CountersignError):
    """The stored record was written by a newer version than this one."""

    code = "newer_record"
