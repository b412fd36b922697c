"""pusher: install an agent on Windows machines by push, safely, visibly, and with a record of every host.

Here live the rooms, each a package; docs/architecture.md draws their floors. What must not live here: any code.
"""

__version__ = "0.1.0"
