"""A TCP relay to the test database, which can swallow packets as a firewall or a frozen server does."""

import selectors
import socket
import threading
from contextlib import suppress

from sqlalchemy import URL

QUERY = b"Q"  # the first byte of the message


class Relay:
    """Forwards connections to a database, or drops what arrives on them."""

    def __init__(self, url: URL) -> None:
        self.target = url
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.url = url.set(host="127.0.0.1", port=self.port, query={"sslmode": "disable"})
        self.accepted = 0
        self.is_frozen = False  # no connection gets an answer, new ones neither
        self.only_logins = False  # as a pooler does whose database is frozen
        self._peers: dict[socket.socket, socket.socket] = {}
        self._silenced: set[socket.socket] = set()
        self._stopped = False
        self._thread = threading.Thread(target=self._forward)
        self._thread.start()

    def silence_connections(self) -> None:
        """From now on, drop everything on the connections that are open now."""
        self._silenced |= set(self._peers)

    def close(self) -> None:
        self._stopped = True
        self._thread.join(timeout=60)
        for end in [self.listener, *self._peers]:
            end.close()

    def _forward(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self.listener, selectors.EVENT_READ)
            while not self._stopped:
                for key, _ in selector.select(0.02):
                    if key.fileobj is self.listener:
                        self._accept(selector)
                    else:
                        self._pass_on(selector, key.fileobj)  # type: ignore[arg-type]

    def _accept(self, selector: selectors.BaseSelector) -> None:
        client, server = self.listener.accept()[0], self._connect()
        self.accepted += 1
        self._peers |= {client: server, server: client}
        for end in (client, server):
            selector.register(end, selectors.EVENT_READ)

    def _connect(self) -> socket.socket:
        host, port = self.target.host or str(self.target.query["host"]), self.target.port or 5432
        if not host.startswith("/"):
            return socket.create_connection((host, port))
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{host}/.s.PGSQL.{port}")
        return server

    def _pass_on(self, selector: selectors.BaseSelector, source: socket.socket) -> None:
        with suppress(OSError):
            data = source.recv(65_536)
            if self.is_frozen or source in self._silenced or (self.only_logins and data[:1] == QUERY):
                if not data:
                    selector.unregister(source)
                return
            if data:
                self._peers[source].sendall(data)
                return
        for end in (source, self._peers[source]):
            with suppress(KeyError, ValueError):
                selector.unregister(end)
            end.close()
