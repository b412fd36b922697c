"""Our templates held against impacket's marshalling, byte for byte."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from impacket.dcerpc.v5 import ndr

from pusher.transports.smb.ndr import Call


class Recorder:
    """What impacket's helpers ask, instead of asking it."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def request(self, call: Any) -> Any:
        self.calls.append(call)
        return {"lpServiceConfig": None}


@pytest.fixture(autouse=True)
def same_referents(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pointer's referent may be any number but zero; impacket draws one."""
    monkeypatch.setattr(ndr.random, "randint", lambda *_: 0x20000)


def marshalled(ask: Callable[[Any], object]) -> tuple[int, bytes]:
    recorder = Recorder()
    ask(recorder)
    (call,) = recorder.calls
    return call.opnum, call.getData()


def same(ours: Call, ask: Callable[[Any], object]) -> None:
    """Padding, which nobody reads, is zeros here and 0xAA or 0xBF there."""
    opnum, stub = marshalled(ask)
    assert (ours.opnum, len(ours.stub)) == (opnum, len(stub))
    pairs = zip(ours.stub, stub, strict=True)
    assert ours.stub == bytes(0 if mine == 0 and other in (0xAA, 0xBF) else other for mine, other in pairs)


def requested(kind: type[Any], **fields: Any) -> Callable[[Any], object]:
    def ask(rpc: Any) -> None:
        call = kind()
        for name, value in fields.items():
            call[name] = value
        rpc.request(call)

    return ask
