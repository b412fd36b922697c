"""What all hosts of a lab share, each a process: its DNS server (dns.py), and the egress proxy (egress_proxy.py).

In the state folder: `zone.json` (names), `dns.json` and `egress.json` (the processes), `egress` (the socket).

Not here: the hosts' own processes (fleet.py), the directory (lab/domain).
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from lab import control, processes
from lab.host_client import Host
from lab.plan import DNS_PORT
from lab.ports import bound
from lab.scenarios import Kind


class Servers:
    """Both of the lab with that state folder, running or not."""

    def __init__(self, state: Path) -> None:
        self._state = state

    @property
    def egress(self) -> Path:
        """The socket that hosts reach servers outside by."""
        return self._state / "egress"

    @property
    def records(self) -> list[Path]:
        """Of their processes; whoever ends the lab ends these with the others."""
        return [self._dns_record, self._egress_record]

    @property
    def are_up(self) -> bool:
        return all(processes.running(record) is not None for record in self.records)

    @property
    def _dns_record(self) -> Path:
        return self._state / "dns.json"

    @property
    def _egress_record(self) -> Path:
        return self._state / "egress.json"

    def start_dns(self, address: str, hosts: Sequence[Host]) -> None:
        """On that address, with the names of the hosts; a stale one's address leads back to another."""
        pairs = [(host.fqdn, host.address, host.scenario.kind) for host in hosts]
        zone = {
            "addresses": {name: address for name, address, _ in pairs},
            "pointers": {address: name for name, address, kind in pairs if kind is not Kind.STALE},
        }
        processes.write_atomically(self._state / "zone.json", json.dumps(zone, indent=1))
        udp = bound(address, DNS_PORT, socket.SOCK_DGRAM)
        tcp = bound(address, DNS_PORT)
        with udp, tcp:
            tcp.listen(64)
            command = [sys.executable, "-m", "lab.dns", "--zone", str(self._state / "zone.json")]
            processes.spawn(
                [*command, "--udp", str(udp.fileno()), "--tcp", str(tcp.fileno())],
                self._dns_record,
                self._state / "dns.log",
                keep=[udp.fileno(), tcp.fileno()],
                env=processes.own_environment(),
            )

    def start_egress_proxy(self) -> None:
        with control.listen(self.egress) as listener:
            command = [sys.executable, "-m", "lab.egress_proxy", "--state", f"{self._state}/", "--listener"]
            processes.spawn(
                [*command, str(listener.fileno())],
                self._egress_record,
                self._state / "egress.log",
                keep=[listener.fileno()],
                env=processes.own_environment(),
            )

    def remove(self) -> None:
        """What they leave, once they are ended."""
        for name in ("zone.json", "dns.json", "dns.log", "egress.json", "egress.log", "egress"):
            processes.remove_written(self._state / name)
