"""SMB as the port has it: connecting, asking who answers, and signing in.

smbprotocol does these in a thread of the pool, each call under its deadline. What is decided here: how a credential
becomes one sign-in by exactly its protocol, and that a session is encrypted wherever the server negotiated a cipher.
What comes after the sign-in is ``session``.
"""

from __future__ import annotations

import contextlib

import spnego
from smbprotocol import Dialects
from smbprotocol.connection import Capabilities
from smbprotocol.exceptions import MoreProcessingRequired, SMBResponseException
from smbprotocol.session import Session as SmbProtocolSession
from smbprotocol.session import SMB2SessionSetupRequest, SMB2SessionSetupResponse

from pusher.models import Credential, Protocol, TransportKind
from pusher.problems import Code, Problem, ProblemError, Stage
from pusher.transports.challenge import NEGOTIATE_MESSAGE, parse_challenge
from pusher.transports.codes import Operation, of
from pusher.transports.port import Endpoint, Limits, Link, PeerIdentity, Session
from pusher.transports.probe import probe
from pusher.transports.smb.connection import GuardedConnection
from pusher.transports.smb.faults import guarded, translate, translating
from pusher.transports.smb.session import SignedIn, SmbSession
from pusher.transports.smb.trees import Trees
from pusher.transports.smb.wire import Wire
from pusher.transports.threaded import Pool, ThreadedCalls

_PORT = 445
_DIALECTS = {
    Dialects.SMB_2_1_0: "SMB 2.1",
    Dialects.SMB_3_0_0: "SMB 3.0",
    Dialects.SMB_3_0_2: "SMB 3.0.2",
    Dialects.SMB_3_1_1: "SMB 3.1.1",
}
_NTLM_SETUPS_BEFORE_SECRET = 1
"""SESSION_SETUP requests of an NTLM sign-in that carry nothing derived from the secret (MS-NLMP 1.3.1.1)."""


class SmbTransport:
    """Opens links; one for the process, given its pool of threads."""

    kind = TransportKind.SMB

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def probe(self, endpoint: Endpoint, seconds: float) -> Problem | None:
        return await probe(endpoint.address, [endpoint.port or _PORT], seconds, translate)

    async def open(self, endpoint: Endpoint, limits: Limits) -> Link:
        port = endpoint.port or _PORT
        connection = GuardedConnection(endpoint.address, port, limits.connect)
        calls = ThreadedCalls(self._pool, connection.abort)
        where = f"{endpoint.address}:{port}"
        await calls.call(
            lambda: guarded(Operation.REACH, connection.open, where),
            deadline=2 * limits.connect,  # half for TCP, which bounds itself, half for NEGOTIATE
            stage=Stage.REACH,
            what=f"connecting to {where}",
        )
        return _SmbLink(connection, calls, endpoint, limits)


class _SmbLink:
    def __init__(self, connection: GuardedConnection, calls: ThreadedCalls, endpoint: Endpoint, limits: Limits) -> None:
        self._connection, self._calls = connection, calls
        self._endpoint, self._limits = endpoint, limits
        self._identity = PeerIdentity()
        self._setups_before = 0
        self._protocol: Protocol | None = None
        self._has_password = False

    @property
    def secret_sent(self) -> bool:
        if self._protocol is None:
            return False
        if self._protocol is Protocol.KERBEROS:
            # A password goes to the domain controller (AS-REQ) before anything goes to the target; a ticket is none,
            # whether it comes in a cache of ours or is the process's own.
            return self._has_password
        sent = self._connection.session_setups_sent - self._setups_before
        return sent > _NTLM_SETUPS_BEFORE_SECRET

    async def identify(self) -> PeerIdentity:
        self._identity = await self._calls.call(
            lambda: guarded(Operation.IDENTIFY, self._ask_identity),
            deadline=self._limits.connect,
            stage=Stage.IDENTIFY,
            what="asking who answers",
        )
        return self._identity

    async def sign_in(self, credential: Credential) -> Session:
        self._setups_before, self._protocol = self._connection.session_setups_sent, credential.protocol
        self._has_password = credential.secret is not None
        session = await self._calls.call(
            lambda: guarded(Operation.SIGN_IN, lambda: self._sign_in(credential), f"as {credential.account}"),
            deadline=self._limits.sign_in,
            stage=Stage.SIGN_IN,
            what=f"signing in as {credential.account}",
        )
        try:
            return SmbSession(await self._handed_over(session), self._identity, self._limits)
        except BaseException:
            self._protocol = None  # the account was taken: what has failed since says nothing of it
            raise

    async def close(self) -> None:
        """Sign off politely where the connection still lives, and drop it in any case."""
        try:
            with contextlib.suppress(Exception):
                await self._calls.call(
                    self._connection.disconnect,
                    deadline=self._limits.connect,
                    stage=Stage.RECORD,
                    what="signing off",
                )
        finally:
            self._connection.abort()

    def _ask_identity(self) -> PeerIdentity:
        """One SESSION_SETUP with a nameless NEGOTIATE_MESSAGE (MS-SMB2 3.2.4.2.3), given up at the challenge."""
        connection = self._connection
        known = PeerIdentity(
            server_guid=str(connection.server_guid),
            dialect=_DIALECTS.get(connection.dialect, hex(connection.dialect)),
            encrypts=bool(connection.supports_encryption),
            clock=connection.server_time,
        )
        setup = SMB2SessionSetupRequest()
        setup["capabilities"] = Capabilities.SMB2_GLOBAL_CAP_DFS
        setup["security_mode"] = connection.client_security_mode
        setup["buffer"] = NEGOTIATE_MESSAGE
        request = connection.send(setup, sid=0, credit_request=64)
        try:
            connection.receive(request, timeout=None)
        except MoreProcessingRequired as more:
            answer = SMB2SessionSetupResponse()
            answer.unpack(more.header["data"].get_value())
            challenge = parse_challenge(answer["buffer"].get_value())
        except SMBResponseException:
            return known  # it does not speak NTLM; who it is must be proven by Kerberos
        else:
            raise ProblemError(of(Code.PROTOCOL_ERROR, Operation.IDENTIFY, "signed in without being asked to"))
        finally:
            connection.preauth_integrity_session_hash_value.clear()
        return PeerIdentity(
            netbios_name=challenge.netbios_name,
            dns_name=challenge.dns_name,
            netbios_domain=challenge.netbios_domain,
            dns_domain=challenge.dns_domain,
            build=challenge.build,
            server_guid=known.server_guid,
            dialect=known.dialect,
            encrypts=known.encrypts,
            clock=known.clock,
        )

    def _sign_in(self, credential: Credential) -> SmbProtocolSession:
        user, secret = credential.user, credential.secret
        if credential.domain is not None:
            user = f"{credential.domain or self._identity.netbios_name}\\{user}"
        session = SmbProtocolSession(
            self._connection,
            spnego.KerberosCCache(credential.ccache) if credential.ccache else user or None,
            secret.reveal() if secret else None,
            require_encryption=bool(self._connection.supports_encryption),
            hostname_override=self._endpoint.host,
            auth_protocol=credential.protocol.value,
        )
        session.connect()
        if session.session_key is None:
            raise ProblemError(of(Code.GUEST_SESSION, Operation.SIGN_IN, credential.account))
        return session

    async def _handed_over(self, session: SmbProtocolSession) -> SignedIn:
        """What is said from now on goes over a wire of our own."""
        connection = self._connection
        handover, connected = await self._calls.call(
            lambda: guarded(Operation.SHARE, lambda: connection.handover(session), "IPC$"),
            deadline=self._limits.call,
            stage=Stage.RIGHTS,
            what="the first tree connect",
        )
        with translating(Operation.REACH):
            wire = await Wire.start(handover)
        return SignedIn(
            wire=wire,
            trees=Trees(wire, connection.server_name, connected),
            key=session.application_key if session.encrypt_data else None,
            most_read=connection.max_read_size,
            most_written=connection.max_write_size,
        )
