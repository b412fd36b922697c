"""PDUs: what is split is joined again, within the agreed size, and nothing malformed passes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import dcerpc
from lab.dcerpc import Call, Pdu, Type


@given(stub=st.binary(max_size=3000), largest=st.integers(48, 600), object_id=st.sampled_from([b"", bytes(16)]))
def test_a_call_survives_splitting(stub: bytes, largest: int, object_id: bytes) -> None:
    call = Call(call_id=7, context=1, opnum=12, stub=stub, object_id=object_id)
    pdus = [dcerpc.parse(pdu.pack()) for pdu in dcerpc.split_request(call, largest)]
    assert dcerpc.join([dcerpc.request_fragment(pdu) for pdu in pdus]) == call
    assert all(len(pdu.pack()) <= largest for pdu in pdus)
    assert [bool(pdu.flags & dcerpc.FIRST) for pdu in pdus] == [True] + [False] * (len(pdus) - 1)
    assert [pdu.is_last for pdu in pdus] == [False] * (len(pdus) - 1) + [True]


@given(stub=st.binary(max_size=3000), largest=st.integers(48, 600))
def test_an_answer_survives_splitting(stub: bytes, largest: int) -> None:
    call = Call(call_id=7, context=1, opnum=12, stub=b"")
    pdus = [dcerpc.parse(pdu.pack()) for pdu in dcerpc.split_response(call, stub, largest)]
    assert b"".join(dcerpc.response_stub(pdu) for pdu in pdus) == stub
    assert {pdu.call_id for pdu in pdus} == {7}
    assert all(len(pdu.pack()) <= largest for pdu in pdus)


def test_what_is_no_pdu_is_refused() -> None:
    good = Pdu(type=Type.REQUEST, flags=3, call_id=1, body=bytes(8)).pack()
    big_endian = good[:4] + b"\0\0\0\0" + good[8:]
    for bad in (big_endian, b"\x04" + good[1:], good + b"x"):
        with pytest.raises(dcerpc.PduError):
            dcerpc.parse(bad)
    with pytest.raises(dcerpc.PduError):
        dcerpc.announced_size(bytes(16))


def test_signed_calls_are_refused_rather_than_damaged() -> None:
    signed = Pdu(type=Type.REQUEST, flags=3, call_id=1, body=bytes(40), auth_length=16)
    with pytest.raises(dcerpc.PduError, match="authentication"):
        dcerpc.request_fragment(signed)
