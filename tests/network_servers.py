"""Servers on this host's loopback that stand for hosts of the internet, as clients behind the proxy see them."""

from __future__ import annotations

import contextlib
import http.server
import socket
import threading
from collections.abc import Callable, Iterator, Mapping


@contextlib.contextmanager
def serving(serve: Callable[[socket.socket], None], address: str = "127.0.0.1") -> Iterator[int]:
    """A server that handles each connection with a function on a thread of its own; the value is its port."""
    with socket.create_server((address, 0), backlog=256) as listener:

        def serve_one(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                connection.settimeout(10)
                serve(connection)

        def serve_all() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=serve_one, args=(listener.accept()[0],), daemon=True).start()

        thread = threading.Thread(target=serve_all, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def until_end(connection: socket.socket) -> bytes:
    """Everything that comes on a connection until its other side ends."""
    data = b""
    while piece := connection.recv(1 << 16):
        data += piece
    return data


def telling_what_came(connection: socket.socket) -> None:
    """Answer a request without a body with the head that came."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(1 << 16)
    connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + data)


def echoing(connection: socket.socket) -> None:
    """Send everything back as it comes."""
    while piece := connection.recv(1 << 16):
        connection.sendall(piece)


@contextlib.contextmanager
def serving_files(files: Mapping[str, bytes], address: str) -> Iterator[int]:
    """A web server with these files; the value is its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = files.get(self.path)
            self.send_response(404 if content is None else 200)
            kind = "text/html" if self.path.endswith("/") else "application/octet-stream"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, format: str, *arguments: object) -> None:
            return

    with http.server.ThreadingHTTPServer((address, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
