"""The log: structlog, one JSON object a line, with run, target and stage, and no secret.

``redaction`` cuts the values of the secrets in use out of every string, wherever they turn up, and fields named like
secrets lose their value. ``file`` is where the lines go. The libraries' own loggers are silenced: they describe the
wire. What must not live here: what is worth a line, which whoever logs knows.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO, cast

import structlog

from pusher.log.file import LogFile
from pusher.log.redaction import Redactor

__all__ = ["LogFile", "Redactor", "start_log"]

_NOISY = ("smbprotocol", "spnego", "impacket", "alembic", "sqlalchemy")


def start_log(path: Path, note: Callable[[str], None] = lambda _: None) -> tuple[LogFile, Redactor]:
    """Log to ``path`` (appended, mode 0600) from now on. The caller closes the file.

    A file that cannot be written costs lines and nothing else: ``note`` is told once. The redactor is the process's
    own: an earlier log's secrets may turn up in this one.
    """
    file, redactor = LogFile(path, note), _redactor()
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.format_exc_info,
            redactor,  # of all that comes from elsewhere; what follows is structlog's own
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(_as_json),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, file)),
        cache_logger_on_first_use=False,
    )
    return file, redactor


_ENCODER = json.JSONEncoder(default=str)


def _as_json(entry: Any, **_: Any) -> str:
    """By an encoder that is made once; ``json.dumps`` makes one for each line."""
    return _ENCODER.encode(entry)


def _redactor() -> Redactor:
    """The one in use, which knows what was learnt for logs before; structlog keeps it, as it keeps the rest."""
    known = (one for one in structlog.get_config()["processors"] if isinstance(one, Redactor))
    return next(known, None) or Redactor()
