"""The log: structlog, one JSON object a line, with run, target and stage, and no secret.

Redaction is a processor: the values of the secrets in use are cut out of every string, wherever they turn up, and
fields named like secrets lose their value. The libraries' own loggers are silenced: they describe the wire.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, MutableMapping
from pathlib import Path
from typing import Any, TextIO

import structlog

from pusher.models import Secret

_NOISY = ("smbprotocol", "spnego", "impacket", "alembic", "sqlalchemy")
_NAMED_SO = ("password", "secret", "passwd", "credential", "token")
_SHORTEST = 4
"""Shorter secrets are not cut out by value: they would tear holes into ordinary words."""


class Redactor:
    """A structlog processor that cuts the given secrets out of every string of an entry."""

    def __init__(self) -> None:
        self._values: set[str] = set()

    def learn(self, secrets: Iterable[Secret]) -> None:
        for value in (secret.reveal() for secret in secrets):
            if len(value) >= _SHORTEST:
                # As it is, and as it looks where a string is shown with its escapes (in a KeyError, say).
                self._values |= {value, repr(value)[1:-1], ascii(value)[1:-1], repr(value.encode())[2:-1]}

    def __call__(self, _: Any, __: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for key, value in entry.items():
            entry[key] = self._clean_field(key, value)
        return entry

    def _clean_field(self, name: str, value: Any) -> Any:
        return "***" if any(word in name.lower() for word in _NAMED_SO) else self._clean(value)

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            for secret in sorted(self._values, key=len, reverse=True):
                value = value.replace(secret, "***")
            return value
        if isinstance(value, dict):
            return {self._clean(str(key)): self._clean_field(str(key), item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._clean(item) for item in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return self._clean(str(value))  # an exception or the like, which the renderer would turn into text anyway


def start_log(path: Path) -> tuple[TextIO, Redactor]:
    """Log to ``path`` (appended, mode 0600) from now on. The caller closes the file. OSError where it cannot."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    file = path.open("a", encoding="utf-8", buffering=1)
    redactor = Redactor()
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redactor,
            structlog.processors.JSONRenderer(default=str),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=file),
        cache_logger_on_first_use=False,
    )
    return file, redactor
