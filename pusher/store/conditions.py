"""A condition on rows (``models.conditions``) as SQL, the same on SQLite and PostgreSQL. It decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, false, not_, or_, select, true

from pusher.models.conditions import AllOf, AnyOf, Condition, Covered, Everything, Not, Nothing, Owned


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """The columns that a condition is about: of the objects, and of the table that says which scope covers which."""

    id: ColumnElement[Any]
    owner: ColumnElement[Any]
    covering_scope: ColumnElement[Any]
    covered_object: ColumnElement[Any]


def as_sql(condition: Condition, rows: Rows) -> ColumnElement[bool]:
    """The condition in a statement's WHERE. It is true or false of every row, never unknown."""
    match condition:
        case Everything():
            return true()
        case Nothing():
            return false()
        case Covered(by=scopes):
            inside = select(rows.covered_object).where(rows.covering_scope.in_(sorted(scopes)))
            return rows.id.in_(inside)
        case Owned(by=subjects):
            # An owner that is NULL would make the whole of a Not unknown.
            return and_(rows.owner.is_not(None), rows.owner.in_(sorted(subjects)))
        case Not(of=one):
            return not_(as_sql(one, rows))
        case AllOf(of=some):
            return and_(*(as_sql(one, rows) for one in some))
        case AnyOf(of=some):
            return or_(*(as_sql(one, rows) for one in some))
