"""``python -m pusher`` and the ``pusher`` command."""

from pusher.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
