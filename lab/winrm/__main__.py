"""The endpoint's process: its listeners, and its control socket. It says READY on standard output when it listens."""

from __future__ import annotations

import argparse
import asyncio
import logging
import ssl
from pathlib import Path
from typing import Any

from lab import control
from lab.winrm import DOWNLOAD_PORT, HTTP_PORT, HTTPS_PORT, INNER_RELAY_PORT, http, relay
from lab.winrm.config import Config
from lab.winrm.connection import Connection
from lab.winrm.download import Downloads
from lab.winrm.journal import Journal
from lab.winrm.service import Service

_BUFFER = 1 << 20


class _Endpoint:
    def __init__(self, config: Config) -> None:
        self._config = config
        self._loop = asyncio.get_running_loop()
        self._service = Service(config, Journal(Path(config.log)))

    async def listen(self) -> None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(self._config.certificate)
        der = certificate_of(Path(self._config.certificate))
        await self._start(HTTP_PORT, None, None)
        await self._start(HTTPS_PORT, tls, der)
        if self._config.relay_certificate is not None:
            await relay.start(self._config.relay_certificate, INNER_RELAY_PORT, HTTPS_PORT)
        downloads = Downloads(self._config, self._service)
        await asyncio.start_server(downloads.serve, "127.0.0.1", DOWNLOAD_PORT)

    async def _start(self, port: int, tls: ssl.SSLContext | None, certificate: bytes | None) -> None:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await http.serve(reader, writer, Connection(self._service, certificate).answer)

        await asyncio.start_server(connected, "127.0.0.1", port, ssl=tls, limit=_BUFFER, backlog=128)

    def warm_up(self) -> None:
        """Have Wine's side come up too, while nobody waits for it yet."""
        self._warming = asyncio.create_task(self._service.warm_up())

    # -- asked through the control socket, by threads of its own -------------------------------------------

    def behave(self, **values: Any) -> None:
        self._loop.call_soon_threadsafe(self._service.change, {**values})

    def shells(self) -> list[dict[str, Any]]:
        return [
            {
                "id": shell.id,
                "owner": shell.owner,
                "resource": shell.resource,
                "idle_timeout": shell.idle_timeout,
                "commands": [command.line for command in shell.commands.values()],
            }
            for shell in self._service.shells.all()
        ]


def certificate_of(pem: Path) -> bytes:
    """The first certificate of a PEM file, in DER."""
    end = "-----END CERTIFICATE-----\n"
    text = pem.read_text(encoding="ascii")
    return ssl.PEM_cert_to_DER_cert(text[text.index("-----BEGIN CERT") :].partition(end)[0] + end)


async def _run(config: Config) -> None:
    endpoint = _Endpoint(config)
    await endpoint.listen()
    control.serve(control.listen(config.control), {"behave": endpoint.behave, "shells": endpoint.shells})
    print("READY", flush=True)
    endpoint.warm_up()
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lab.winrm", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    asyncio.run(_run(Config.read(parser.parse_args().config)))


if __name__ == "__main__":
    main()
