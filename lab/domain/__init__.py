"""The lab's directory: a Samba domain controller, its accounts, policies and computers.

`Domain` starts one on a loopback address. The controller's process imports this package with the system's Python, so
nothing here needs more than the standard library at import.
"""

from lab.domain.domain import Domain, Member, Seen
from lab.domain.recipe import Laps

__all__ = ["Domain", "Laps", "Member", "Seen"]
