"""The audit as a chain: each entry is sealed with a key together with the hash of the one before. Pure.

Whoever changes the store without the key can change, remove or add no entry without ``verify`` telling which; only what
is cut off at the end leaves a chain that holds, and anchors, kept elsewhere, tell of that.
What must not live here: the key's file (``audit_files``), the rows (``store``).
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC
from enum import StrEnum

from pusher.models import Secret
from pusher.models.audit import AuditEntry, SealedEntry


@dataclass(frozen=True, kw_only=True, slots=True)
class Anchor:
    """That the audit of a store had this entry, and began with ``chain``: kept where the store's owner cannot reach."""

    store: str
    chain: str
    seq: int
    hash: str


NEW_KEY = "audit.new-key"
"""The act of the entry that begins with another key, where the one before was lost."""


class Fault(StrEnum):
    """What is wrong. The values are what ``--json`` says: they do not change."""

    CHANGED = "changed"
    MISSING = "missing"
    CUT_OFF = "cut-off"
    GONE = "gone"
    OTHER_KEY = "other-key"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """Of the entries ``first`` to ``last``."""

    fault: Fault
    first: int
    last: int

    @property
    def sentence(self) -> str:
        one = self.first == self.last
        what = f"entry {self.first}" if one else f"entries {self.first} to {self.last}"
        match self.fault:
            case Fault.CHANGED:
                return f"{what} {'was' if one else 'were'} changed since, or written by somebody else"
            case Fault.MISSING:
                return f"{what} {'is' if one else 'are'} missing: what stands around {'it' if one else 'them'} is there"
            case Fault.CUT_OFF:
                return f"{what} {'is' if one else 'are'} cut off: an anchor says that the audit went on to there"
            case Fault.GONE:
                return f"{what} of an earlier audit of this store {'is' if one else 'are'} gone, with all of that audit"
            case Fault.OTHER_KEY:
                return f"{what} {'was' if one else 'were'} written with another key than this one"


def name_of(key: Secret) -> str:
    """What the key is known by; nothing of it can be learned from that."""
    return hashlib.sha256(b"pusher audit key\0" + bytes.fromhex(key.reveal())).hexdigest()[:16]


def sealed(key: Secret, seq: int, prev: str, entry: AuditEntry) -> SealedEntry:
    """The entry in its place; ``prev``: the hash of the one before, or what the chain begins with."""
    name = name_of(key)
    return SealedEntry(seq=seq, entry=entry, key=name, prev=prev, hash=_hash(key, seq, name, prev, entry))


def verify(
    key: Secret, chain: str | None, entries: Iterable[SealedEntry], anchors: Iterable[Anchor] = ()
) -> Iterator[Finding]:
    """All that is wrong with them, in their order. ``chain``: what the store says that the first one follows.

    ``anchors``: all that there are of this store, so that one of another chain tells of an audit that is gone.
    """
    name, last, prev, anchors = name_of(key), 0, chain, list(anchors)
    wanted = {one.seq: one.hash for one in anchors if one.chain == chain}
    for one in entries:
        if one.seq > last + 1:
            yield Finding(fault=Fault.MISSING, first=last + 1, last=one.seq - 1)
            prev = None
        is_held = (prev is None or one.prev == prev) and wanted.get(one.seq, one.hash) == one.hash
        is_ours = one.key == name
        if not is_held or (is_ours and one.hash != _hash(key, one.seq, name, one.prev, one.entry)):
            yield Finding(fault=Fault.CHANGED, first=one.seq, last=one.seq)
            prev, last = None, one.seq
            continue
        if not is_ours:
            yield Finding(fault=Fault.OTHER_KEY, first=one.seq, last=one.seq)
        prev, last = one.hash, one.seq
    end = max(wanted, default=0)
    if end > last:
        yield Finding(fault=Fault.CUT_OFF, first=last + 1, last=end)
    if gone := [one.seq for one in anchors if one.chain != chain]:
        yield Finding(fault=Fault.GONE, first=1, last=max(gone))


def joined(findings: Iterable[Finding]) -> Iterator[Finding]:
    """The same, with neighbours of one fault in one."""
    kept: Finding | None = None
    for one in findings:
        if kept is not None and kept.fault is one.fault and one.first == kept.last + 1:
            kept = Finding(fault=kept.fault, first=kept.first, last=one.last)
            continue
        if kept is not None:
            yield kept
        kept = one
    if kept is not None:
        yield kept


def _hash(key: Secret, seq: int, name: str, prev: str, entry: AuditEntry) -> str:
    said = {
        "seq": seq,
        "key": name,
        "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor": entry.actor,
        "via": entry.via,
        "origin": entry.origin,
        "act": entry.act,
        "object": entry.object,
        "decision": str(entry.decision),
        "rule": entry.rule,
        "grant": entry.grant,
        "before": entry.before,
        "after": entry.after,
    }
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    return hmac.new(bytes.fromhex(key.reveal()), f"{prev}\n{text}".encode("ascii"), hashlib.sha256).hexdigest()
