"""The command line: what is asked, who is shown what, and with which status it ends.

``app`` holds the commands and ``options`` their options; ``execute`` drives one run, with its ``interruption``, its
``narrator`` and its ``verdict``; ``asking`` is what is asked of a recorded run; ``resolving``, ``reading``,
``explaining`` and ``accounts`` are the commands that start none. What must not live here: a decision. What a
console would be told likewise is decided below (``runs``, ``wiring``).
"""

from pusher.cli.app import main

__all__ = ["main"]
