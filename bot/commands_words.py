"""Read what a person typed, on a phone and in a hurry: ids, flags that a keyboard has made pretty, a date and a name.

Pure. What could be understood in two ways is not guessed where something would be done; it is asked back.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212"
"""Hyphens and dashes: keyboards turn `--` into one of them."""
_QUOTES = "\"'`\u201c\u201d\u201e\u201f\u2018\u2019\u201a\u00ab\u00bb"
_EDGES = f"{_QUOTES}#.,;:()\u200b\ufeff"
_PAIRS = ('""', "''", "“”", "„“", "‘’", "«»")
_ID = re.compile(r"(req|grt)_[0-9a-z]{26}", re.IGNORECASE)
_FLAG = re.compile(rf"[{DASHES}]+[A-Za-z][A-Za-z{DASHES}]*")
_BREAK_GLASS = frozenset({"breakglass", "break-glass"})
_DRY_RUN = frozenset({"dryrun", "dry-run"})
_KINDS = frozenset({"actor", "role", "principal", "grant"})
_JOINTS = frozenset({"until", "till", "to", "for", ">"})


class Misread(Exception):
    """The command cannot be understood; the sentence says what is missing or wrong, and its usage is shown below."""


@dataclass(frozen=True)
class Revoke:
    """What `revoke …` says: the target as typed (empty: none), whether to look only, and the reason."""

    target: str
    dry_run: bool
    reason: str


def first_word(text: str) -> tuple[str, str]:
    """Return the command's name in lower case, and the rest."""
    word, *rest = text.split(maxsplit=1) or [""]
    return word.strip(_EDGES + "/").lower(), rest[0].strip() if rest else ""


def identifier(text: str) -> str:
    """Return the first word as an id or a handle, without what was pasted around it; empty if there is none."""
    word = (text.split(maxsplit=1) or [""])[0].strip(_EDGES)
    if _ID.fullmatch(word):
        kind, _, ulid = word.partition("_")
        return f"{kind.lower()}_{ulid.upper()}"
    return word


def sentence(text: str) -> str:
    """Return a typed reason without a dash before it, or one pair of quotes around it."""
    text = text.strip().lstrip(DASHES + " ")
    return text[1:-1].strip() if len(text) > 1 and text[0] + text[-1] in _PAIRS else text


def parse_revoke(text: str) -> Revoke:
    """Read `[TARGET] [--dry-run] [reason…]`. Raises Misread for a flag that there is not, so that nothing is done."""
    words, dry_run = [], False
    for word in text.split():
        flag = _flag(word)
        if flag in _DRY_RUN or word.lower() in _DRY_RUN:
            dry_run = True
        elif flag and (word.startswith("--") or difflib.get_close_matches(flag, _DRY_RUN, cutoff=0.5)):
            raise Misread(f"There is no flag {word}, so nothing was revoked; did you mean --dry-run?")
        else:
            words.append(word)
    if len(words) > 1 and words[0].lower().strip(":") in _KINDS:
        words[:2] = [f"{words[0].lower().strip(':')}:{words[1]}"]
    target = identifier(words[0]) if words else ""
    return Revoke(target.lower() if target.lower() == "all" else target, dry_run, sentence(" ".join(words[1:])))


def wants_break_glass(text: str) -> bool:
    """Tell whether `request …` is to be taken at once. Raises Misread for any other flag."""
    found = False
    for word in text.split():
        flag = _flag(word) or word.lower()
        if flag in _BREAK_GLASS:
            found = True
        elif _flag(word):
            raise Misread(f"There is no flag {word[:40]}, so nothing was asked; did you mean --break-glass?")
    return found


def parse_away(text: str) -> tuple[str, str]:
    """Read `until Mon → bob`, in any order of its two parts: return the day as typed, and the name. Raises Misread."""
    spaced = re.sub(rf"(=>|[{DASHES}]+>|→|⇒)", " to ", text.replace(",", " ")).split()
    words = [word for word in spaced if word.lower() not in _JOINTS]
    if len(words) != 2:
        raise Misread("Say until when, and who answers for you.")
    return (_after(spaced, "until", "till") or _other(words, _taker(spaced, words))), _bare(_taker(spaced, words))


def _taker(spaced: list[str], words: list[str]) -> str:
    """Return the word that names a person: marked as one, behind `to`, or simply not behind `until`; else the last."""
    marked = next((word for word in words if word.startswith(("@", "user:"))), None)
    day = _after(spaced, "until", "till")
    return marked or _after(spaced, "to") or (_other(words, day) if day else words[1])


def _after(words: list[str], *joints: str) -> str | None:
    """Return the word behind a joint, if that is no joint itself."""
    found = (word for joint, word in pairwise(words) if joint.lower() in joints and word.lower() not in _JOINTS)
    return next(found, None)


def _other(words: list[str], one: str) -> str:
    return words[1] if words[0] == one else words[0]


def _bare(name: str) -> str:
    return name.strip(_EDGES).removeprefix("user:").removeprefix("@").lower()


def nearest_word(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that was meant, if one is close."""
    names = list(known)
    longer = [name for name in names if len(word) >= 2 and name.startswith(word)]
    close = longer or difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return close[0] if close else None


def _flag(word: str) -> str:
    """Return a flag's name with plain hyphens; empty for a word that is none."""
    if _FLAG.fullmatch(word) is None:
        return ""
    return re.sub(rf"[{DASHES}]", "-", word).strip("-").lower()
