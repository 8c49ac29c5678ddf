"""Check the variables that a credential brings along, before they reach anybody's program.

A credential of an executable is an environment. Whoever may name its variables could otherwise have the program load
a library or run a file; so both who hands it out and who takes it look here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

MOST = 20
LONGEST = 8_192
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_STEERS = re.compile(
    r"(?:PATH|HOME|SHELL|ENV|BASH_ENV|BASH_FUNC_.*|IFS|CDPATH|PS4|PROMPT_COMMAND|SHELLOPTS|BASHOPTS|EDITOR|VISUAL|PAGER"
    r"|BROWSER|TMPDIR|LD_.*|DYLD_.*|GCONV_PATH|GLIBC_.*|MALLOC_.*|PYTHON.*|PERL.*|RUBY.*|NODE_.*|JAVA_TOOL_OPTIONS"
    r"|_?JAVA_OPTIONS|CLASSPATH|GIT_.*|SSH_ASKPASS|PSQLRC|PSQL_.*|PGSYSCONFDIR|PGSERVICEFILE|OPENSSL_.*"
    r"|AWS_CONFIG_FILE|AWS_SHARED_CREDENTIALS_FILE|AWS_PROFILE|AWS_ENDPOINT_URL.*|AWS_CA_BUNDLE|ZDOTDIR|FPATH|INPUTRC"
    r"|LESS(?:OPEN|CLOSE|KEY.*)|MANPAGER|XDG_.*|CURL_HOME|WGETRC|NETRC|HOSTALIASES|LOCALDOMAIN|RES_OPTIONS"
    r"|COUNTERSIGN_.*|(?:HTTP|HTTPS|ALL|NO|FTP)_PROXY)",
    re.IGNORECASE,
)
"""Names that steer which code a program runs, or to whom it speaks, and are no part of a credential."""


def fault(environment: Mapping[str, str]) -> str | None:
    """Say what is wrong with these variables, without any value; None if they may be handed on."""
    if not 0 < len(environment) <= MOST:
        return f"{len(environment)} variables; a credential has 1 to {MOST}"
    for name, value in environment.items():
        if not _NAME.fullmatch(name):
            return "a variable whose name is not letters, digits and '_'"
        if _STEERS.fullmatch(name):
            return f"the variable {name}, which could steer what a program runs"
        if not value or len(value) > LONGEST or "\0" in value:
            return f"the variable {name} with an empty, too long or unprintable value"
    return None
