"""The lab's command line: arguments, progress and tables. Everything else is fleet.py's and packages.py's."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from lab import packages, plan
from lab.build import BuildError
from lab.fleet import Lab, default_state
from lab.host_client import Host, LabError
from lab.plan import DEFAULT_NETWORK, HostSpec, PlanError
from lab.scenarios import SCENARIOS

_BAD_INPUT = 2
_FAILED = 1
_MEMBERS = 3


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m lab",
        description="Hosts to push to, on loopback addresses of this machine: healthy ones and every kind of trouble.",
        epilog="example:\n  python -m lab up\n  pusher push inventory/lab.yaml --accounts inventory/lab-accounts.toml"
        " --package inventory/labagent\n  python -m lab down",
        formatter_class=raw,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--state", type=Path, default=default_state(), help="the lab's state folder (%(default)s)")

    up = commands.add_parser(
        "up",
        parents=[common],
        formatter_class=raw,
        help="start the hosts and write inventory/lab.yaml, lab-accounts.toml and labagent/",
        description="Start the hosts: every scenario once, or as asked.",
        epilog="examples:\n  python -m lab up --hosts 12\n  python -m lab up --scenarios wanted.toml\n\n"
        'wanted.toml:\n  [[host]]\n  scenario = "healthy"\n  count = 3\n\n'
        '  [[host]]\n  scenario = "disk-full"\n  name = "ws99"',
    )
    what = up.add_mutually_exclusive_group()
    what.add_argument("--hosts", type=int, metavar="N", help="N healthy hosts")
    what.add_argument("--scenarios", type=Path, metavar="FILE", help="the hosts that a TOML file names")
    up.add_argument(
        "--domain",
        action="store_true",
        help="a directory too: a domain controller, and three hosts that are its members (with --hosts: all of them)",
    )
    up.add_argument("--network", default=DEFAULT_NETWORK, help="loopback network for their addresses (%(default)s)")
    up.add_argument(
        "--inventory",
        type=Path,
        default=Path(__file__).parent.parent / "inventory",
        metavar="DIR",
        help="where to write what pusher is given (%(default)s)",
    )
    up.add_argument("--fresh", action="store_true", help="end what runs and start anew")

    commands.add_parser("down", parents=[common], help="end everything and remove its files")
    status = commands.add_parser("status", parents=[common], help="show the hosts (exit 1 when the lab is down)")
    status.add_argument("--json", action="store_true", help="one JSON object a line")
    commands.add_parser("scenarios", help="show the scenarios and what a push to each must record")
    commands.add_parser("packages", help="install the Debian packages that the lab needs, or show the command")
    return parser


def _specs(arguments: argparse.Namespace) -> list[HostSpec]:
    if arguments.scenarios is not None:
        return plan.from_file(arguments.scenarios) + (plan.members(_MEMBERS) if arguments.domain else [])
    if arguments.hosts is not None:
        if arguments.hosts < 1:
            raise PlanError(f"--hosts {arguments.hosts}: expected at least 1")
        return plan.members(arguments.hosts) if arguments.domain else plan.healthy(arguments.hosts)
    return plan.every_scenario() + (plan.members(_MEMBERS) if arguments.domain else [])


def _up(arguments: argparse.Namespace) -> int:
    specs = _specs(arguments)
    if _packages():
        return _BAD_INPUT
    lab = Lab(arguments.state, arguments.network, arguments.inventory, progress=_say)
    began = time.monotonic()
    if not lab.up(specs, fresh=arguments.fresh):
        _say("the lab is up already")
        return 0
    _print_table(list(lab.hosts.values()))
    _say(f"{len(specs)} hosts ready in {time.monotonic() - began:.1f} s; names at {lab.nameserver}")
    _say(f"what pusher is given: {arguments.inventory}")
    if (domain := lab.domain) is not None:
        _say(f"directory {domain.realm}: {domain.fqdn} at {domain.address}, names at {domain.nameserver}")
        _say("  " + " ".join(f"{name}={value}" for name, value in domain.naming_environment.items()))
    return 0


def _down(arguments: argparse.Namespace) -> int:
    Lab(arguments.state).down()
    return 0


def _status(arguments: argparse.Namespace) -> int:
    lab = Lab(arguments.state)
    hosts = list(lab.hosts.values())
    if arguments.json:
        for host in hosts:
            print(json.dumps(_row(host)))
    elif hosts:
        _print_table(hosts)
    else:
        _say("the lab is down")
    return 0 if lab.is_up else _FAILED


def _row(host: Host) -> dict[str, object]:
    return {
        "name": host.name,
        "fqdn": host.fqdn,
        "address": host.address,
        "port": host.port,
        "scenario": host.scenario.name,
        "state": _state(host),
        "expect_status": host.scenario.expect_status,
        "expect_code": host.scenario.expect_code,
    }


def _state(host: Host) -> str:
    if not host.has_process:
        return "-"
    return "up" if host.mark else "ended"


def _print_table(hosts: Sequence[Host]) -> None:
    print(f"{'HOST':18} {'ADDRESS':15} {'STATE':6} {'SCENARIO':22} A PUSH RECORDS")
    for host in hosts:
        expected = " ".join(filter(None, (host.scenario.expect_status, host.scenario.expect_code)))
        print(f"{host.fqdn:18} {host.address:15} {_state(host):6} {host.scenario.name:22} {expected}")


def _scenarios() -> int:
    for row in SCENARIOS.values():
        expected = " ".join(filter(None, (row.expect_status, row.expect_code)))
        print(f"{row.name:22} {row.description}\n{'':22} -> {expected}")
    return 0


def _packages() -> int:
    still_missing = packages.install(_say)
    if not still_missing:
        return 0
    _say(f"missing: {', '.join(still_missing)}. As root, run:\n  {packages.command(still_missing)}")
    return _BAD_INPUT


def main() -> int:
    arguments = _parser().parse_args()
    try:
        match arguments.command:
            case "up":
                return _up(arguments)
            case "down":
                return _down(arguments)
            case "status":
                return _status(arguments)
            case "scenarios":
                return _scenarios()
            case _:
                return _packages()
    except PlanError as exc:
        _say(str(exc))
        return _BAD_INPUT
    except (LabError, BuildError) as exc:
        _say(str(exc))
        return _FAILED
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
