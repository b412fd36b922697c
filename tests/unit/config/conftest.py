"""Generated examples have no time limit each: the machine may be busy with other work."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
