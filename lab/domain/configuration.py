"""What the domain controller's Samba and the clients' Kerberos are told. Text from values.

Every path of smb.conf is of the controller's own namespace (see controller.py), so that nothing of the machine's own
Samba is read or written, and the same in each lab, so that a snapshot fits everywhere.
"""

from __future__ import annotations

from pathlib import Path

from lab.domain.recipe import CONTROLLER, DNS_DOMAIN, NETBIOS, REALM

HOME = Path("/run/lab")
DISK = HOME / "disk"  # the controller's folder
LOGS = DISK / "log"
SAMBA = HOME / "samba"
PRIVATE = SAMBA / "private"
DATABASE = PRIVATE / "sam.ldb"
CONFIGURATION = HOME / "smb.conf"
AUTHENTICATION_LOG = "authentication.log"

KERBEROS_PORT, LDAP_PORT, LDAPS_PORT, SMB_PORT, DNS_PORT = 88, 389, 636, 445, 53
ENDPOINT_MAPPER_PORT, PASSWORD_PORT, CATALOGUE_PORT = 135, 464, 3268
RPC_PORTS = range(49152, 49162)
TCP_PORTS = (
    *(DNS_PORT, KERBEROS_PORT, ENDPOINT_MAPPER_PORT, LDAP_PORT, SMB_PORT, PASSWORD_PORT, LDAPS_PORT),
    RPC_PORTS[0],
)
"""What answers once the controller is ready."""

# Directories that smb.conf names and Samba does not make by itself.
FOLDERS = ("private", "private/tls", "state", "cache", "lock", "pid", "ncalrpc", "bind-dns", "ntp_signd")

_SERVER = """[global]
  netbios name = {name}
  realm = {realm}
  workgroup = {netbios}
  server role = active directory domain controller
  server services = s3fs, rpc, ldap, cldap, kdc, winbindd, dns
  interfaces = {address}/24
  bind interfaces only = yes
  private dir = {samba}/private
  state directory = {samba}/state
  cache directory = {samba}/cache
  lock directory = {samba}/lock
  pid directory = {samba}/pid
  ncalrpc dir = {samba}/ncalrpc
  binddns dir = {samba}/bind-dns
  ntp signd socket directory = {samba}/ntp_signd
  log file = {logs}/%m.log
  log level = 1 auth_json_audit:3@{logs}/{authentication}
  max log size = 0
  rpc server dynamic port range = {first_port}-{last_port}
  ldap server require strong auth = yes
  tls enabled = yes
  tls keyfile = {samba}/private/tls/key.pem
  tls certfile = {samba}/private/tls/cert.pem
  tls cafile = {samba}/private/tls/ca.pem
  ntlm auth = ntlmv2-only
  server signing = mandatory
  server min protocol = SMB3_00
  disable netbios = yes
  smb ports = {smb_port}
  allow dns updates = disabled
  dns update command = /bin/true
  spn update command = /bin/true
  gpo update command = /bin/true
  dns forwarder =
  load printers = no
  printing = bsd
  printcap name = /dev/null
  disable spoolss = yes

[sysvol]
  path = {samba}/state/sysvol
  read only = yes

[netlogon]
  path = {samba}/state/sysvol/{domain}/scripts
  read only = yes
"""

_CLIENT = """[libdefaults]
    default_realm = {realm}
    dns_lookup_kdc = false
    dns_lookup_realm = false
    dns_canonicalize_hostname = false
    rdns = false
    udp_preference_limit = 1
[realms]
    {realm} = {{
        kdc = {address}:{port}
        kpasswd_server = {address}:{password_port}
        admin_server = {address}
    }}
[domain_realm]
    .{domain} = {realm}
    {domain} = {realm}
"""


def server(address: str) -> str:
    """The domain controller's smb.conf."""
    return _SERVER.format(
        name=CONTROLLER.upper(),
        realm=REALM,
        netbios=NETBIOS,
        domain=DNS_DOMAIN,
        address=address,
        samba=SAMBA,
        logs=LOGS,
        authentication=AUTHENTICATION_LOG,
        first_port=RPC_PORTS[0],
        last_port=RPC_PORTS[-1],
        smb_port=SMB_PORT,
    )


def kerberos(address: str) -> str:
    """A client's krb5.conf. By TCP only: what the server refuses is then refused at once."""
    return _CLIENT.format(
        realm=REALM, domain=DNS_DOMAIN, address=address, port=KERBEROS_PORT, password_port=PASSWORD_PORT
    )
