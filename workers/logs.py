"""Write one JSON line per log event to stderr, for our own code and for every library alike.

Ids travel in the context: `bound(request="req_…")` puts them on each line logged inside it. Two things are kept out of
every line, whoever logs it: values under a secret-sounding name, and texts that look like our API keys or like a URL's
password. That is a second net; nothing secret is handed to a logger on purpose.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from contextlib import AbstractContextManager
from typing import Any, TextIO

import structlog
from structlog.contextvars import bound_contextvars
from structlog.stdlib import ProcessorFormatter
from structlog.typing import Processor

WITHHELD = "[withheld]"
_SECRET_NAME = re.compile(
    r"secret|token|password|authorization|cookie|api_?key|private|sealed|routing_key", re.IGNORECASE
)
_SECRET_TEXT = re.compile(
    r"(?<![A-Za-z0-9])c(?:s|ss|sl)_[A-Za-z0-9_-]{43}|(?<=://)[^/@\s]*:[^/@\s]+(?=@)"
    r"|eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"
)
_TALKATIVE = ("botocore", "boto3", "urllib3", "s3transfer")
"""Libraries whose DEBUG lines hold whole answers of AWS, credentials included: never below INFO."""


def scrub(text: str) -> str:
    """Return the text without API keys, session, link and signed tokens, and passwords in URLs."""
    return _SECRET_TEXT.sub(WITHHELD, text)


def withhold(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Empty what must not be logged; a structlog processor."""
    for name, value in event.items():
        if _SECRET_NAME.search(name):
            event[name] = WITHHELD
        else:
            event[name] = _clean(value)
    return event


def configure(process: str, level: str = "info", stream: TextIO | None = None) -> None:
    """Send every log line of this process to the stream (stderr) as JSON that names the process."""

    def name_process(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["process"] = process
        return event

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        name_process,
        structlog.processors.format_exc_info,  # text without local variables: a frame may hold a secret
        withhold,
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    _route_to(stream or sys.stderr, shared, getattr(logging, level.upper()))


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of a module; its first argument is an event, `noun.verb_past`, the rest are fields."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def bound(**fields: str) -> AbstractContextManager[None]:
    """Put these fields on every line that is logged inside the `with`, in this task and those it starts."""
    return bound_contextvars(**fields)


def _route_to(stream: TextIO, shared: list[Processor], level: int) -> None:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[
                ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(level, logging.INFO))


def _clean(value: object) -> object:
    """Scrub text at any depth: fields may hold lists and mappings."""
    match value:
        case str():
            return scrub(value)
        case dict():
            return {name: WITHHELD if _SECRET_NAME.search(str(name)) else _clean(item) for name, item in value.items()}
        case list() | tuple():
            return [_clean(item) for item in value]
        case _:
            return value
