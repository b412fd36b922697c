"""The registry's tables: people, what they were given, and the objects that it is about; and the audit of all changes.

What must not live here: what a row means for somebody (the registry and access, above the store).
"""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Table, UniqueConstraint

from pusher.store.schema import Count, Document, Utc, Words, metadata

people = Table(
    "people",
    metadata,
    Column("id", Words, primary_key=True),
    Column("name", Words, nullable=False),
    Column("standing", Words, nullable=False),
)

people_groups = Table(
    "people_groups",
    metadata,
    Column("id", Words, primary_key=True),
    Column("name", Words, nullable=False),
    Column("sid", Words, unique=True),
)

memberships = Table(
    "memberships",
    metadata,
    Column("member", Words, primary_key=True),
    Column("in_group", Words, ForeignKey("people_groups.id"), primary_key=True),
)
"""``member``: a person or a group of people."""

roles = Table(
    "roles",
    metadata,
    Column("name", Words, primary_key=True),
    Column("version", Count, primary_key=True, autoincrement=False),
    Column("level", Words, nullable=False),
    Column("permissions", Document, nullable=False),
    Column("includes", Document, nullable=False),
    Column("capabilities", Document, nullable=False),
    Column("removed", Count, nullable=False),
)
"""A row each time that a custom role is saved; the newest counts. ``removed``: 1 in the last one of a role's that is
gone."""

grants = Table(
    "grants",
    metadata,
    Column("id", Words, primary_key=True),
    Column("subject", Words, nullable=False),
    Column("role", Words, nullable=False),
    Column("effect", Words, nullable=False),
    Column("scope", Words, nullable=False),
    Column("until", Utc),
    Column("made_by", Words, nullable=False),
    Column("made_at", Utc, nullable=False),
    Column("note", Words, nullable=False),
)

objects = Table(
    "objects",
    metadata,
    Column("id", Words, primary_key=True),
    Column("kind", Words, nullable=False),
    Column("name", Words, nullable=False),
    Column("owner", Words),
    UniqueConstraint("kind", "name"),
)
Index("objects_by_owner", objects.c.owner)

known_machines = Table(
    "known_machines",
    metadata,
    Column("id", Words, ForeignKey("objects.id"), primary_key=True),
    Column("address", Words),
    Column("site", Words),
    Column("gone_at", Utc),
)

machine_groups = Table(
    "machine_groups",
    metadata,
    Column("id", Words, ForeignKey("objects.id"), primary_key=True),
    Column("origin", Words, nullable=False),
    Column("query", Words),
    Column("within", Words, ForeignKey("machine_groups.id")),
    Column("file", Words),
)

members = Table(
    "members",
    metadata,
    Column("object", Words, ForeignKey("objects.id"), primary_key=True),
    Column("in_group", Words, ForeignKey("machine_groups.id"), primary_key=True),
)
"""What a static group holds directly, and what a dynamic one finds."""
Index("members_by_group", members.c.in_group)

covers = Table(
    "covers",
    metadata,
    Column("scope", Words, primary_key=True),
    Column("object", Words, primary_key=True),
)
"""The closure: each scope with each object that it covers, itself among them; not the server, which covers all."""

registered_packages = Table(
    "registered_packages",
    metadata,
    Column("id", Words, ForeignKey("objects.id"), primary_key=True),
    Column("version", Words, nullable=False),
    Column("sha256", Words, nullable=False, unique=True),
    Column("root", Words, nullable=False),
)

access_version = Table(
    "access_version",
    metadata,
    Column("id", Count, primary_key=True, autoincrement=False),
    Column("number", Count, nullable=False),
    Column("audit", Words),
)
"""One row, which every change locks and raises. ``audit``: what the chain of the audit begins with."""

audit = Table(
    "audit",
    metadata,
    Column("seq", Count, primary_key=True, autoincrement=False),
    Column("at", Utc, nullable=False),
    Column("actor", Words, nullable=False),
    Column("via", Words, nullable=False),
    Column("origin", Words, nullable=False),
    Column("act", Words, nullable=False),
    Column("object", Words, nullable=False),
    Column("decision", Words, nullable=False),
    Column("rule", Words),
    Column("grant_id", Words),
    Column("before", Document),
    Column("after", Document),
    Column("key", Words, nullable=False),
    Column("prev", Words, nullable=False),
    Column("hash", Words, nullable=False),
)
"""A row a change. ``hash`` holds the row and the one before it, by a key that is not in the store."""
