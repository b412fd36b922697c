"""Files of certificate authorities, proven before anybody is contacted: WinRM's, and the directory's for LDAPS."""

from __future__ import annotations

import ssl
from pathlib import Path

from pusher.models import Source
from pusher.problems import BadInput
from pusher.settings import Options
from pusher.targets.inventory import Inventory


def authority_of(options: Options, inventory: Inventory) -> Path | None:
    """The file of whoever signs WinRM's certificates; None: this system's own list."""
    named = inventory.certificate_authority
    if options.ca is not None:
        file, source = options.ca, None
    elif named is not None:
        file, source = options.inventory.parent / named.text, named.source
    else:
        return None
    prove_authority(file, source)
    return file


def prove_authority(file: Path, source: Source | None) -> None:
    """BadInput, at ``source``, where the file holds no certificate or cannot be read."""
    try:
        ssl.create_default_context(cafile=str(file))
    except (OSError, ssl.SSLError) as error:
        why = error.strerror if isinstance(error, FileNotFoundError | PermissionError) else "it holds no certificate"
        raise BadInput(source, f"the certificate authority {file} cannot be read: {why}", "a PEM file") from error
