"""Memory: a Windows machine without a network, for tests and dry runs of what stands on the port.

``disk`` is its file system, ``services`` its service manager, ``host`` the machine with accounts, registry and
identity; they answer with Microsoft's numbers, as a machine does. ``transport`` is the adapter, and ``wire`` one of its
connections, which turns the numbers into Problems by the same tables as the others, and makes the calls fail, hang or
drop where a test says so.
It passes the same contract suite as the SMB adapter. What must not live here: policy. What it
does not know of the real thing, the lab's hosts tell.
"""

from pusher.transports.memory.host import MemoryHost, Ran, User
from pusher.transports.memory.services import StartFault
from pusher.transports.memory.transport import MemoryTransport
from pusher.transports.memory.wire import Fault, How, Moment

__all__ = ["Fault", "How", "MemoryHost", "MemoryTransport", "Moment", "Ran", "StartFault", "User"]
