"""The command line: what is asked, who is shown what, and with which status it ends.

``app`` holds the commands; ``execute`` drives one run, with its ``interruption``, its ``narrator`` and its ``verdict``;
``resolving`` and ``reading`` are the commands that only read. Nothing is decided here that a page of the console would
decide otherwise.
"""

from pusher.cli.app import main

__all__ = ["main"]
