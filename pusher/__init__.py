"""pusher: install an agent on Windows machines by push, safely, visibly, and with a record of every host."""

__version__ = "0.1.0"
