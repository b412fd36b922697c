"""The lab of test hosts: real SMB and a real Windows service manager on loopback addresses of this machine.

A host is Samba's smbd in front of Wine's services.exe, in namespaces of its own:

    client -> fault proxy -> smbd -> svcctl pipe (scm.py) -> relay.exe -> Wine's services.exe -> agent
    client -> fault proxy -> WinRM endpoint (lab/winrm) -> helper.exe, runner.exe -> Wine's services, cmd, registry

`python -m lab` runs it from the command line; tests use the names exported here. The lab knows pusher's file
formats and nothing else of it.
"""

from lab.fleet import Lab, default_state
from lab.host_client import Host, LabError, Process, Service, SignIn
from lab.plan import HostSpec, PlanError, every_scenario, from_file, healthy
from lab.scenarios import SCENARIOS, Link, Scenario

__all__ = [
    "SCENARIOS",
    "Host",
    "HostSpec",
    "Lab",
    "LabError",
    "Link",
    "PlanError",
    "Process",
    "Scenario",
    "Service",
    "SignIn",
    "default_state",
    "every_scenario",
    "from_file",
    "healthy",
]
