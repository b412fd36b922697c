"""Whether the audit is as it was written: the store's entries against the key and the anchors, which are not in it.

What must not live here: how they hold each other (``chain``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pusher.models import Source
from pusher.models.audit import SealedEntry
from pusher.problems import BadInput
from pusher.registry.audit_files import anchors_beside, read_anchors, read_key
from pusher.registry.chain import NEW_KEY, Anchor, Fault, Finding, joined, name_of, verify
from pusher.registry.change import key_missing, store_name
from pusher.store import Store


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """``entries`` were read, and held to ``anchors``; what is wrong with them.

    ``unproven``: up to which entry they were sealed with a key that was lost, and that a later one says so of.
    """

    entries: int
    anchors: int
    last: SealedEntry | None
    findings: tuple[Finding, ...]
    unproven: int = 0


def prove(store: Store, key: Path, anchors: Path | None = None) -> Proof:
    """``anchors``: a file kept elsewhere; None: those beside the key, if there are any.

    BadInput where the key is missing, or the file that is named holds no anchor of this store's audit.
    """
    audit = store.registry.audit
    chain, mine = audit.chain(), _anchors(store, key, anchors)
    sealing = read_key(key)
    if sealing is None:
        if chain is None and not mine:
            return Proof(entries=0, anchors=0, last=None, findings=())
        raise key_missing(key)
    last, count, renewed = None, 0, 0

    def counted() -> Iterator[SealedEntry]:
        nonlocal last, count, renewed
        for last in audit.entries():
            count += 1
            if last.entry.act == NEW_KEY and last.key == name_of(sealing):
                renewed = last.seq
            yield last

    findings = list(verify(sealing, chain, counted(), mine))
    if count and sum(one.fault is Fault.OTHER_KEY for one in findings) == count:
        raise key_missing(key)
    if any(one.first == renewed for one in findings):
        renewed = 0  # what says that the key was lost is not proven itself
    lost = [one for one in findings if one.fault is Fault.OTHER_KEY and one.last < renewed]
    left = joined(one for one in findings if one not in lost)
    unproven = max((one.last for one in lost), default=0)
    return Proof(entries=count, anchors=len(mine), last=last, findings=tuple(left), unproven=unproven)


def anchor(store: Store) -> Anchor | None:
    """Of the last entry there is, to be kept elsewhere; None where there is none."""
    audit = store.registry.audit
    last, chain = audit.last(), audit.chain()
    if last is None or chain is None:
        return None
    return Anchor(store=store_name(store), chain=chain, seq=last.seq, hash=last.hash)


def _anchors(store: Store, key: Path, named: Path | None) -> list[Anchor]:
    path = named or anchors_beside(key)
    if named is None and not path.exists():
        return []
    chain, here = store.registry.audit.chain(), store_name(store)
    mine = [one for one in read_anchors(path) if one.chain == chain or one.store == here]
    if named is not None and not mine:
        raise BadInput(Source(file=str(named)), "no anchor in it is of this store's audit", "one that was made of it")
    return mine
