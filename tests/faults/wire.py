"""Messages between a worker and the hosts in memory: pickles, each behind its length. Both ends are the tests' own."""

from __future__ import annotations

import asyncio
import io
import pickle
import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pusher.models import Secret

_LENGTH = struct.Struct("!I")


class _Pickler(pickle.Pickler):
    """A secret refuses to be pickled, and a view of memory cannot be: here both may be, since it is the tests' own."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, Secret):
            return Secret, (value.reveal(),)
        if isinstance(value, memoryview):
            return memoryview, (bytes(value),)
        if isinstance(value, MappingProxyType):
            return dict, (dict(value),)
        return NotImplemented


def packed(message: Mapping[str, Any]) -> bytes:
    made = io.BytesIO()
    _Pickler(made, pickle.HIGHEST_PROTOCOL).dump(dict(message))
    return _LENGTH.pack(made.tell()) + made.getvalue()


async def read_message(reader: asyncio.StreamReader) -> dict[str, Any]:
    """IncompleteReadError where the other end is gone."""
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    message: dict[str, Any] = pickle.loads(await reader.readexactly(length))
    return message
