"""Checks: the rights an agent push needs and the host's readiness, each proven separately and with evidence.

A check leaves nothing behind. ``catalogue`` is the table of them; ``prove`` runs it. What must not live here:
an effect that outlives its check, and which transport it is made over.
"""

from pusher.checks.catalogue import CHECKS, Subject, prove

__all__ = ["CHECKS", "Subject", "prove"]
