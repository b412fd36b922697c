"""``python -m pusher``: the same as the ``pusher`` command, whose entry is outside of this package (see there why)."""

from push_installer import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
