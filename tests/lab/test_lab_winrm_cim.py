"""The endpoint's CIM classes on Wine's own service manager, files and registry, and that SMB sees the same."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from pypsrp.exceptions import WSManFaultError

from lab import Host, Lab
from lab.build import build_all, default_cache
from lab.winrm import cim_files, cim_services, wql
from tests.lab.clients import Client
from tests.lab.test_lab_scenarios import host_of
from tests.lab.winrm import WinRm, resolved

_NOT_FOUND, _TYPE_MISMATCH = 2150858752, 2147749893
_AGENT = r'"%SystemRoot%\labagent\labagent.exe" --site here --fault '
_GIVEN_BACK = r'"C:\WINDOWS\labagent\labagent.exe" --site here --fault '
"""As Windows gives it back: expanded."""
_SERVICE = {"Name": "LabAgent"}


@pytest.fixture
def way(own_lab: Lab, shared_host: Host) -> Iterator[WinRm]:
    with resolved(shared_host):
        yield WinRm(own_lab, shared_host)


def put_agent(host: Host) -> None:
    place = host.admin_share / "labagent" / "labagent.exe"
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(build_all(default_cache()).agent.read_bytes())


def wait_for(way: WinRm, state: str) -> dict[str, str | None]:
    limit = time.monotonic() + 30
    while (found := way.get("Win32_Service", **_SERVICE))["State"] != state:
        assert time.monotonic() < limit, found
        time.sleep(0.1)
    return found


# -- services -----------------------------------------------------------------------------------------------


@pytest.mark.lab
def test_a_services_life(own_lab: Lab, host: Host) -> None:
    put_agent(host)
    way, smb = WinRm(own_lab, host), Client(own_lab, host)
    given = {"DisplayName": "Lab agent", "PathName": f"{_AGENT}none", "StartMode": "Automatic", "ServiceType": "16"}
    assert way.code("Win32_Service", "Create", Name="LabAgent", **given) == 0
    assert way.code("Win32_Service", "Create", Name="LabAgent", **given) == 23
    assert way.code("Win32_Service", "Create", Name="Other", DisplayName="Lab agent", PathName="x") == 19
    assert way.code("Win32_Service", "StopService", _SERVICE) == 6
    assert way.code("Win32_Service", "StartService", _SERVICE) == 0
    found = wait_for(way, "Running")
    assert {key: found[key] for key in ("PathName", "DisplayName", "StartMode", "StartName", "ExitCode")} == {
        "PathName": f"{_GIVEN_BACK}none",
        "DisplayName": "Lab agent",
        "StartMode": "Auto",
        "StartName": "LocalSystem",
        "ExitCode": "0",
    }
    assert "service is running" in smb.service("status", "LabAgent")
    assert way.code("Win32_Service", "StartService", _SERVICE) == 10
    assert way.code("Win32_Service", "Change", _SERVICE, PathName=f"{_AGENT}exit", StartMode="Disabled") == 0
    assert f"{_GIVEN_BACK}exit" in smb.service("status", "LabAgent")
    assert way.code("Win32_Service", "StopService", _SERVICE) == 0
    wait_for(way, "Stopped")
    assert way.code("Win32_Service", "StartService", _SERVICE) == 14
    assert way.code("Win32_Service", "ChangeStartMode", _SERVICE, StartMode="Manual") == 0
    assert way.code("Win32_Service", "StartService", _SERVICE) == 7  # it exits at once
    assert way.code("Win32_Service", "Delete", _SERVICE) == 0
    with pytest.raises(WSManFaultError) as gone:
        way.get("Win32_Service", **_SERVICE)
    assert gone.value.code == _NOT_FOUND
    with pytest.raises(WSManFaultError) as none:
        way.code("Win32_Service", "Delete", _SERVICE)
    assert none.value.code == _NOT_FOUND


@pytest.mark.lab
def test_how_a_service_failed_and_what_is_in_the_registry_alone(own_lab: Lab, host: Host) -> None:
    put_agent(host)
    way = WinRm(own_lab, host)
    given = {"DisplayName": "x", "PathName": f"{_AGENT}fail", "StartMode": "Automatic"}
    assert way.code("Win32_Service", "Create", Name="LabAgent", **given) == 0
    way.code("Win32_Service", "StartService", _SERVICE)
    failed = wait_for(way, "Stopped")
    assert (failed["ExitCode"], failed["ServiceSpecificExitCode"]) == ("1066", "42")
    key = r"SYSTEM\CurrentControlSet\Services\LabAgent"
    assert way.code("StdRegProv", "SetStringValue", sSubKeyName=key, sValueName="Description", sValue="Beats.") == 0
    assert way.code("StdRegProv", "SetDWORDValue", sSubKeyName=key, sValueName="DelayedAutostart", uValue="1") == 0
    found = way.get("Win32_Service", **_SERVICE)
    assert (found["Description"], found["DelayedAutoStart"]) == ("Beats.", "true")


@pytest.mark.lab
def test_a_missing_program_and_a_bad_one(own_lab: Lab, host: Host) -> None:
    way = WinRm(own_lab, host)
    (host.admin_share / "text.exe").write_text("no program", encoding="ascii")
    for path, code in ((r"C:\windows\none.exe", 9), (r"C:\windows\text.exe", 8)):
        assert (
            way.code("Win32_Service", "Create", Name="Bad", DisplayName="Bad", PathName=path, StartMode="Manual") == 0
        )
        assert way.code("Win32_Service", "StartService", {"Name": "Bad"}) == code
        assert way.code("Win32_Service", "Delete", {"Name": "Bad"}) == 0
    assert way.code("Win32_Service", "Create", Name="Bad", PathName="x", StartMode="Sometimes") == 21


@pytest.mark.lab
def test_queries(way: WinRm) -> None:
    rows = way.query("SELECT Name, State FROM Win32_Service WHERE State = 'Running' AND Name <> 'RpcSs'")
    assert rows
    assert all(set(row) == {"Name", "State"} and row["State"] == "Running" for row in rows)
    assert "RpcSs" not in [row["Name"] for row in rows]
    assert [row["Name"] for row in way.query("SELECT * FROM Win32_Service WHERE Name='rpcss'")] == ["RpcSs"]
    assert way.query("SELECT * FROM Win32_Service WHERE Name='none'") == []
    for bad in ("SELECT", "SELECT * FROM Win32_Service WHERE Name LIKE 'a%'", "SELECT * FROM CIM_DataFile"):
        with pytest.raises(WSManFaultError) as refused:
            way.query(bad)
        assert refused.value.code == 0x80041017


# -- facts --------------------------------------------------------------------------------------------------


@pytest.mark.lab
def test_facts(shared_host: Host, way: WinRm) -> None:
    system = way.get("Win32_OperatingSystem")
    assert (system["WindowsDirectory"], system["SystemDrive"], system["ProductType"]) == (r"C:\WINDOWS", "C:", "1")
    assert (system["LocalDateTime"] or "").startswith("20")
    computer = way.get("Win32_ComputerSystem")
    assert (computer["Name"], computer["DNSHostName"]) == (shared_host.name.upper(), shared_host.name)
    assert computer["DomainRole"] == "0"
    assert way.get("Win32_Processor")["Architecture"] == "9"
    assert [row["DeviceID"] for row in way.query("SELECT DeviceID FROM Win32_LogicalDisk")] == ["C:"]


@pytest.mark.lab
def test_a_full_disk_is_full(own_lab: Lab) -> None:
    host = host_of(own_lab, "disk-full")
    free = WinRm(own_lab, host).get("Win32_LogicalDisk", DeviceID="C:")["FreeSpace"]
    assert 50_000 < int(free or 0) < 110_000


# -- files --------------------------------------------------------------------------------------------------


@pytest.mark.lab
def test_files(own_lab: Lab, host: Host) -> None:
    put_agent(host)
    way, windows = WinRm(own_lab, host), host.admin_share
    agent = {"Name": r"C:\Windows\labagent\labagent.exe"}
    found = way.get("CIM_DataFile", **agent)
    assert (found["Name"], found["Version"]) == (r"c:\windows\labagent\labagent.exe", "1.4.2.0")
    assert int(found["FileSize"] or 0) == (windows / "labagent" / "labagent.exe").stat().st_size
    for name, keys in (("Win32_Directory", agent), ("CIM_DataFile", {"Name": r"C:\Windows"})):
        with pytest.raises(WSManFaultError) as other:
            way.get(name, **keys)
        assert other.value.code == _NOT_FOUND
    assert way.get("Win32_Directory", Name=r"C:\Windows\labagent")["FileType"] == "File Folder"
    assert way.code("CIM_DataFile", "Rename", agent, FileName=r"C:\Windows\win.ini") == 10
    assert way.code("CIM_DataFile", "Rename", agent, FileName=r"C:\Windows\none\x.exe") == 9
    assert way.code("CIM_DataFile", "Rename", agent, FileName=r"C:\Windows\labagent\b.exe") == 0
    assert way.code("Win32_Directory", "Delete", {"Name": r"C:\Windows\labagent"}) == 14
    assert way.code("CIM_DataFile", "Delete", {"Name": r"C:\Windows\labagent\b.exe"}) == 0
    assert way.code("Win32_Directory", "Delete", {"Name": r"C:\Windows\labagent"}) == 0
    assert not (windows / "labagent").exists()


@pytest.mark.lab
def test_a_file_in_use_is_in_use_for_both(own_lab: Lab, host: Host) -> None:
    way, keys = WinRm(own_lab, host), {"Name": r"C:\Windows\Temp\held.txt"}
    host.hold(r"Temp\held.txt")
    assert way.code("CIM_DataFile", "Delete", keys) == 15
    assert way.code("CIM_DataFile", "Rename", keys, FileName=r"C:\Windows\Temp\b.txt") == 15
    assert "Sharing violation" in way.run(r"echo x>C:\Windows\Temp\held.txt")[1]
    assert "NT_STATUS_SHARING_VIOLATION" in Client(own_lab, host).smb(r"get Temp\held.txt /dev/null")
    host.release(r"Temp\held.txt")
    assert way.code("CIM_DataFile", "Delete", keys) == 0


@pytest.mark.lab
def test_the_push_lock_of_somebody_else_is_held_in_wine_too(own_lab: Lab) -> None:
    way = WinRm(own_lab, host_of(own_lab, "locked-by-another"))
    assert way.code("CIM_DataFile", "Delete", {"Name": r"C:\Windows\pusher\LabAgent.lock"}) == 15


@pytest.mark.lab
def test_a_running_program_can_be_renamed_and_not_deleted(own_lab: Lab) -> None:
    host = host_of(own_lab, "same-version")
    way, keys = WinRm(own_lab, host), {"Name": r"C:\Windows\labagent\labagent.exe"}
    assert way.code("CIM_DataFile", "Delete", keys) == 2
    assert way.code("CIM_DataFile", "Rename", keys, FileName=r"C:\Windows\labagent\old.exe") == 0
    back = {"Name": r"C:\Windows\labagent\old.exe"}
    assert way.code("CIM_DataFile", "Rename", back, FileName=keys["Name"]) == 0


# -- registry -----------------------------------------------------------------------------------------------


@pytest.mark.lab
def test_the_registry(own_lab: Lab, host: Host) -> None:
    way, key = WinRm(own_lab, host), {"hDefKey": "2147483650", "sSubKeyName": r"SOFTWARE\Contoso\Lab"}
    value = {**key, "sValueName": "Name"}
    assert way.code("StdRegProv", "GetStringValue", **value) == 2
    assert way.invoke("StdRegProv", "CheckAccess", uRequired="2", **key) == {"bGranted": "false", "ReturnValue": "2"}
    assert way.code("StdRegProv", "CreateKey", **key) == 0
    assert way.invoke("StdRegProv", "CheckAccess", uRequired="2", **key) == {"bGranted": "true", "ReturnValue": "0"}
    assert way.code("StdRegProv", "GetStringValue", **value) == 1
    assert way.code("StdRegProv", "SetStringValue", sValue=r'a "b" \c é', **value) == 0
    assert way.invoke("StdRegProv", "GetStringValue", **value) == {"sValue": r'a "b" \c é', "ReturnValue": "0"}
    assert way.code("StdRegProv", "GetDWORDValue", **value) == _TYPE_MISMATCH
    number, text = {**key, "sValueName": "Number"}, {**key, "sValueName": "Text"}
    assert way.code("StdRegProv", "SetDWORDValue", uValue="4294967295", **number) == 0
    assert way.invoke("StdRegProv", "GetDWORDValue", **number)["uValue"] == "4294967295"
    assert way.code("StdRegProv", "SetExpandedStringValue", sValue=r"%SystemDrive%\x", **text) == 0
    assert way.invoke("StdRegProv", "GetExpandedStringValue", **text)["sValue"] == r"C:\x"
    assert way.code("StdRegProv", "DeleteValue", **number) == 0
    assert way.code("StdRegProv", "DeleteKey", **key) == 0
    assert way.code("StdRegProv", "EnumValues", **key) == 2


# -- the parts, without a host ------------------------------------------------------------------------------


def test_wql_is_understood_or_refused() -> None:
    query = wql.parse(r"select Name , Size from CIM_DataFile where Name = 'C:\\a\'b' and Size <> 3")
    assert (query.name, query.columns, query.keys) == ("CIM_DataFile", ("Name", "Size"), {"Name": r"C:\a'b"})
    assert query.holds({"NAME": r"c:\A'B", "Size": 4})
    assert not query.holds({"Name": r"C:\a'b", "Size": 3})
    either = wql.parse('SELECT * FROM x WHERE a="1" OR b=TRUE')
    assert (either.columns, either.keys) == ((), {})
    assert either.holds({"a": 2, "b": True})
    assert not either.holds({"a": 2, "b": False})
    for bad in (
        "",
        "DELETE FROM x",
        "SELECT * FROM x WHERE",
        "SELECT * FROM x WHERE a=1 AND b=2 OR c=3",
        "SELECT * FROM x; y",
    ):
        with pytest.raises(wql.WqlError):
            wql.parse(bad)


def test_the_return_codes_are_those_of_the_documentation() -> None:
    assert set(cim_services.CODES.values()) <= set(range(25))
    assert cim_services.return_value(1053) == 7
    assert cim_services.return_value(99999) == cim_services.UNKNOWN_FAILURE
    assert cim_files.return_value(32) == 15
    assert cim_files.return_value(99999) == cim_files.UNSPECIFIED_FAILURE
