"""A recorded Vault: a few requests with the answers that Vault's HTTP API documents, and nothing else.

It is strict: another method, path, header or token than Vault would take is no answer that helps. Not a Vault: what
it stores are these answers (API documentation, "/sys/internal/ui/mounts", "KV secrets engine" versions 1 and 2).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hvs.CAESIJ-planted-token"
VALUE = "correct horse battery staple"
ADDRESS = "127.0.93.9"

_ENVELOPE = {
    "request_id": "7e2d0a1c-5b0f-3f5e-8f6a-0d3c5c1b2a11", "lease_id": "", "renewable": False, "lease_duration": 0,
    "wrap_info": None, "warnings": None, "auth": None,
}  # fmt: skip
_METADATA = {
    "created_time": "2026-03-22T02:24:06.945319214Z", "custom_metadata": None, "deletion_time": "", "destroyed": False,
    "version": 2,
}  # fmt: skip


def _mount(path: str, version: str | None) -> tuple[int, Any]:
    options = {"version": version} if version else None
    mount = {"type": "kv", "path": path, "options": options, "description": "", "accessor": "kv_f1d3", "local": False}
    return 200, _ENVELOPE | {"data": mount}


def _kv2(fields: dict[str, Any]) -> tuple[int, Any]:
    return 200, _ENVELOPE | {"data": {"data": fields, "metadata": _METADATA}}


_DELETED = _METADATA | {"deletion_time": "2026-03-22T02:36:43.986212308Z"}
RECORDED: dict[str, tuple[int, Any]] = {
    "/v1/sys/internal/ui/mounts/secret/pusher/push": _mount("secret/", "2"),
    "/v1/secret/data/pusher/push": _kv2({"password": VALUE, "user": "svc-push", "number": 7}),
    "/v1/sys/internal/ui/mounts/secret/pusher/gone": _mount("secret/", "2"),
    "/v1/secret/data/pusher/gone": (404, _ENVELOPE | {"data": {"data": None, "metadata": _DELETED}}),
    "/v1/sys/internal/ui/mounts/secret/pusher/never": _mount("secret/", "2"),
    "/v1/secret/data/pusher/never": (404, {"errors": []}),
    "/v1/sys/internal/ui/mounts/secret/pusher/forbidden": _mount("secret/", "2"),
    "/v1/secret/data/pusher/forbidden": (403, {"errors": ["1 error occurred:\n\t* permission denied\n\n"]}),
    "/v1/sys/internal/ui/mounts/nowhere/push": (
        403, {"errors": ["preflight capability check returned 403, please ensure client's policies grant access to "
                         'path "nowhere/push/"']}),
    "/v1/sys/internal/ui/mounts/teams/it/kv/push": _mount("teams/it/kv/", "2"),
    "/v1/teams/it/kv/data/push": _kv2({"password": VALUE}),
    "/v1/sys/internal/ui/mounts/old/push": _mount("old/", "1"),
    "/v1/old/push": (200, _ENVELOPE | {"lease_duration": 2764800, "data": {"password": VALUE}}),
    "/v1/sys/internal/ui/mounts/oldest/push": _mount("oldest/", None),
    "/v1/oldest/push": (200, _ENVELOPE | {"data": {"password": VALUE}}),
    "/v1/sys/internal/ui/mounts/secret/a%20b": _mount("secret/", "2"),
    "/v1/sys/internal/ui/mounts/lying/push": _mount("elsewhere/", "2"),
    "/v1/sys/internal/ui/mounts/pki/push": (
        200, _ENVELOPE | {"data": {"type": "pki", "path": "pki/", "options": None}}),
}  # fmt: skip
"""By path: the status, and the body."""


class RecordedVault(ThreadingHTTPServer):
    """``sealed``: every request is answered as a sealed Vault does. ``other``: one answer for everything."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((ADDRESS, 0), _Handler)
        self.asked: list[str] = []
        self.sealed = False
        self.namespace: str | None = None
        self.other: tuple[int, bytes, dict[str, str]] | None = None

    @property
    def url(self) -> str:
        return f"http://{ADDRESS}:{self.server_address[1]}"

    def answer(self, method: str, path: str, headers: Any) -> tuple[int, bytes, dict[str, str]]:
        self.asked.append(f"{method} {path}")
        if self.other is not None:
            return self.other
        status, body = self._recorded(method, path, headers)
        return status, json.dumps(body).encode(), {"Content-Type": "application/json", "Cache-Control": "no-store"}

    def _recorded(self, method: str, path: str, headers: Any) -> tuple[int, Any]:
        if self.sealed:
            return 503, {"errors": ["Vault is sealed"]}
        if headers.get_all("X-Vault-Token") != [TOKEN]:
            return 403, {"errors": ["permission denied"]}
        if headers.get("X-Vault-Request") != "true":  # as a Vault Agent with require_request_header
            return 412, {"errors": ["missing 'X-Vault-Request' header"]}
        if headers.get("X-Vault-Namespace") != self.namespace:
            return 404, {"errors": ["no handler for route"]}
        if method != "GET":
            return 405, {"errors": ["unsupported operation"]}
        return RECORDED.get(path, (404, {"errors": [f'no handler for route "{path.removeprefix("/v1/")}"']}))


class _Handler(BaseHTTPRequestHandler):
    server: RecordedVault
    protocol_version = "HTTP/1.1"

    def _any(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, body, headers = self.server.answer(self.command, self.path, self.headers)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_LIST = do_DELETE = do_HEAD = _any

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the terminal."""


@contextmanager
def recorded_vault() -> Iterator[RecordedVault]:
    with RecordedVault() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
