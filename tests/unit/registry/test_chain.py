"""Whoever changes the audit without its key is told of, whatever they do; what was changed, what is missing, what was
cut off, each by itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher.models import Secret
from pusher.models.audit import AuditEntry, Decision, SealedEntry
from pusher.registry.chain import Anchor, Fault, Finding, name_of, sealed, verify
from tests.unit.access.worlds import NOW

KEY, OTHER = Secret("01" * 32), Secret("02" * 32)
CHAIN = "begun"


def an_entry(number: int = 1, **changes: Any) -> AuditEntry:
    entry = AuditEntry(at=NOW + timedelta(seconds=number), actor="root@mgmt", via="command", origin="mgmt",
                       act="grants.add", object=f"g{number}", decision=Decision.NOT_ASKED,
                       before=None, after={"role": "Viewer", "subject": f"p{number}"})  # fmt: skip
    return replace(entry, **changes)


def chain_of(count: int, key: Secret = KEY, prev: str = CHAIN, first: int = 1) -> list[SealedEntry]:
    made: list[SealedEntry] = []
    for number in range(first, first + count):
        made.append(sealed(key, number, prev, an_entry(number)))
        prev = made[-1].hash
    return made


def anchor_of(one: SealedEntry, chain: str = CHAIN) -> Anchor:
    return Anchor(store="s", chain=chain, seq=one.seq, hash=one.hash)


def found(entries: list[SealedEntry], anchors: list[Anchor] = [], chain: str | None = CHAIN) -> list[Finding]:  # noqa: B006
    return list(verify(KEY, chain, entries, anchors))


def finding(fault: Fault, first: int, last: int = 0) -> Finding:
    return Finding(fault=fault, first=first, last=last or first)


WHOLE = chain_of(6)
ALL_ANCHORS = [anchor_of(one) for one in WHOLE]


def test_what_was_written_is_whole() -> None:
    assert found(WHOLE) == found(WHOLE, ALL_ANCHORS) == found(WHOLE, ALL_ANCHORS[:2]) == found([], chain=None) == []


def test_a_changed_one_is_told_and_no_other() -> None:
    spoiled = [*WHOLE]
    spoiled[2] = replace(spoiled[2], entry=replace(spoiled[2].entry, actor="somebody@else"))
    assert found(spoiled, ALL_ANCHORS) == [finding(Fault.CHANGED, 3)]


@pytest.mark.parametrize("gone", [(1, 1), (1, 3), (3, 3), (2, 5)])
def test_missing_ones_are_told_by_their_numbers(gone: tuple[int, int]) -> None:
    first, last = gone
    left = [one for one in WHOLE if not first <= one.seq <= last]
    assert found(left, ALL_ANCHORS) == found(left) == [finding(Fault.MISSING, first, last)]


def test_what_is_cut_off_is_told_by_an_anchor_alone() -> None:
    assert found(WHOLE[:4], ALL_ANCHORS[:5]) == [finding(Fault.CUT_OFF, 5)]
    assert found(WHOLE[:4], ALL_ANCHORS) == [finding(Fault.CUT_OFF, 5, 6)]
    assert found([], ALL_ANCHORS) == [finding(Fault.CUT_OFF, 1, 6)]
    assert found(WHOLE[:4]) == []


def test_an_audit_in_the_place_of_another_is_told() -> None:
    anew = chain_of(2, prev="anew")
    assert found(anew, ALL_ANCHORS, chain="anew") == [finding(Fault.GONE, 1, 6)]


def test_what_another_key_wrote_is_told() -> None:
    forged = [*WHOLE[:4], *chain_of(2, OTHER, WHOLE[3].hash, 5)]
    assert found(forged) == [finding(Fault.OTHER_KEY, 5), finding(Fault.OTHER_KEY, 6)]
    disguised = [*WHOLE[:4], *(replace(one, key=name_of(KEY)) for one in forged[4:])]
    assert found(disguised) == [finding(Fault.CHANGED, 5), finding(Fault.CHANGED, 6)]


def test_one_that_somebody_added_is_told() -> None:
    forged = replace(WHOLE[5], seq=7, prev=WHOLE[5].hash, hash="0" * 64)
    assert found([*WHOLE, forged]) == [finding(Fault.CHANGED, 7)]
    assert found([replace(forged, seq=0), *WHOLE]) == [finding(Fault.CHANGED, 0)]


def test_two_that_changed_places_are_told() -> None:
    third, fourth = WHOLE[2], WHOLE[3]
    swapped = [*WHOLE[:2], replace(fourth, seq=3), replace(third, seq=4), *WHOLE[4:]]
    assert found(swapped) == [finding(Fault.CHANGED, 3), finding(Fault.CHANGED, 4)]


def test_one_whose_number_was_closed_up_is_told() -> None:
    """Who takes one out and numbers the rest anew."""
    closed = [*WHOLE[:2], *(replace(one, seq=one.seq - 1) for one in WHOLE[3:])]
    assert [one.fault for one in found(closed)] == [Fault.CHANGED] * 3


def test_an_older_state_that_went_on_otherwise_is_told_by_an_anchor() -> None:
    """Everything in it holds, by the right key: a store that was put back, and written to since."""
    other = [*WHOLE[:3], sealed(KEY, 4, WHOLE[2].hash, an_entry(40))]
    assert found(other) == []
    assert found(other, ALL_ANCHORS[:4]) == [finding(Fault.CHANGED, 4)]


FIELDS: dict[str, Any] = {
    "at": NOW, "actor": "x", "via": "x", "origin": "x", "act": "x", "object": "x", "decision": Decision.REFUSED,
    "rule": "x", "grant": "x", "before": {"x": 1}, "after": None,
}  # fmt: skip


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_is_held(name: str) -> None:
    spoiled = replace(WHOLE[0], entry=replace(WHOLE[0].entry, **{name: FIELDS[name]}))
    assert found([spoiled, *WHOLE[1:]]) == [finding(Fault.CHANGED, 1)]


def test_every_field_is_among_them() -> None:
    assert set(FIELDS) == set(AuditEntry.__dataclass_fields__)


@pytest.mark.parametrize(("name", "value"), [("prev", "x"), ("hash", "x")])
def test_what_holds_them_together_is_held(name: str, value: str) -> None:
    spoiled = [WHOLE[0], replace(WHOLE[1], **{name: value}), *WHOLE[2:]]  # type: ignore[arg-type]
    assert found(spoiled) == [finding(Fault.CHANGED, 2)]


def test_what_it_begins_with_is_held() -> None:
    assert found(WHOLE, chain="another") == [finding(Fault.CHANGED, 1)]


@given(st.data())
def test_no_change_of_any_row_goes_unseen(data: st.DataObject) -> None:
    """Rows taken out, put in another order of numbers, or with what another row says: anything but what was written."""
    taken = data.draw(st.lists(st.sampled_from(WHOLE), max_size=6))
    rows = [replace(one, seq=number) for number, one in enumerate(taken, start=1)]
    if rows == WHOLE[: len(rows)]:
        assert found(rows) == []
        assert [one.fault for one in found(rows, ALL_ANCHORS)] == ([Fault.CUT_OFF] if len(rows) < 6 else [])
    else:
        assert found(rows) != []


def test_a_sentence_says_how_many() -> None:
    assert finding(Fault.MISSING, 5).sentence.startswith("entry 5 is missing")
    assert finding(Fault.MISSING, 5, 7).sentence.startswith("entries 5 to 7 are missing")
    assert all(finding(fault, 1, 2).sentence for fault in Fault)


def test_the_name_of_a_key_is_none_of_it() -> None:
    assert name_of(KEY) != name_of(OTHER) and name_of(KEY)[:8] not in KEY.reveal()
