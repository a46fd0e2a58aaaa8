"""Runs in progress, shown while they go on: a server on loopback that gives the page and, when asked, what is new.

A login node has other users, and any of them can reach a port on loopback: every address here begins with a secret that only the
printed link has. Whoever asks for news waits until there is some, or for a while.

    /SECRET/                   the page                /SECRET/runs?seen=N       all runs, once something is newer than N
    /SECRET/start/RUN          what stood first        /SECRET/steps/RUN/A/B     the details of steps A to B - 1
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from mlgym_lite import __version__
from mlgym_lite.analysis.viewer.followed_run import FollowedRun
from mlgym_lite.analysis.viewer.page import live_page
from mlgym_lite.analysis.viewer.page_json import page_json
from mlgym_lite.analysis.viewer.run_data import run_data, start_data, step_details

_LOOK_SECONDS = 0.25
"""How often files are looked at: they may lie on a file system that tells of no changes."""
_WAIT_SECONDS = 20.0
_MOST_STEPS = 200
_SILENT_SECONDS = 30.0
_MOST_CONNECTIONS = 64


class LiveServer:
    """Serves some runs until it is closed."""

    def __init__(self, runs: Sequence[FollowedRun], *, port: int = 0) -> None:
        """`port` 0 takes a free one. Raises OSError where it is taken."""
        self._runs = runs
        self._lock = threading.Lock()
        self._seen = 1
        self._stopping = threading.Event()
        self._secret = secrets.token_urlsafe(18)
        self._server = _Server(("127.0.0.1", port), _handler_for(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/{self._secret}/"

    def serve_forever(self) -> None:
        """Serve on this thread until it is interrupted."""
        try:
            self._server.serve_forever()
        finally:
            self.close()

    def stop(self) -> None:
        """Have `serve_forever` return; called from another thread."""
        self._stopping.set()
        self._server.shutdown()

    def close(self) -> None:
        """Give the port back; twice is harmless."""
        self._stopping.set()
        self._server.server_close()

    def answer_to(self, address: str) -> tuple[str, str] | None:
        """The media type and text for an address; None for one that is not known."""
        parts = urlsplit(address)
        place = parts.path.split("/")
        if len(place) < 3 or not secrets.compare_digest(place[1].encode(), self._secret.encode()):
            return None
        match place[2:]:
            case [""]:
                return "text/html; charset=utf-8", live_page()
            case ["runs"]:
                return _json(self._news(int(parse_qs(parts.query).get("seen", ["0"])[0])))
            case ["start", run]:
                return _json(start_data(self._runs[int(run)]))
            case ["steps", run, first, last]:
                most = int(first) + _MOST_STEPS
                return _json(step_details(self._runs[int(run)], int(first), min(int(last), most)))
        return None

    def _news(self, seen: int) -> dict[str, Any]:
        """All runs, once they are newer than what was seen."""
        for _ in range(int(_WAIT_SECONDS / _LOOK_SECONDS)):
            with self._lock:
                refreshed = [run.refresh() for run in self._runs]
                self._seen += any(refreshed)
            if self._seen > seen or self._stopping.wait(_LOOK_SECONDS):
                break
        with self._lock:
            return {"version": __version__, "seen": self._seen, "runs": [run_data(run) for run in self._runs]}


class _Server(ThreadingHTTPServer):
    """A thread for each connection, but only so many: others can connect, too."""

    daemon_threads = True

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection, or close it."""
        if threading.active_count() > _MOST_CONNECTIONS:
            self.shutdown_request(request)
        else:
            super().process_request(request, client_address)


def _json(content: Any) -> tuple[str, str]:
    return "application/json", page_json(content)


def _handler_for(server: LiveServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers one connection's requests."""

        protocol_version = "HTTP/1.1"
        timeout = _SILENT_SECONDS

        def log_message(self, format: str, *arguments: Any) -> None:
            """Nothing goes to stderr."""

        def do_GET(self) -> None:
            """The page or a part of its data."""
            try:
                answer = server.answer_to(self.path)
            except (ValueError, IndexError):
                answer = None
            except OSError as error:
                self._send(500, "text/plain; charset=utf-8", str(error))
                return
            if answer is None:
                self._send(404, "text/plain; charset=utf-8", "no such place")
            else:
                self._send(200, *answer)

        def _send(self, status: int, media_type: str, text: str) -> None:
            data = text.encode("utf-8", "backslashreplace")
            try:
                self.send_response(status)
                for name, value in {
                    "Content-Type": media_type, "Content-Length": str(len(data)), "Cache-Control": "no-store",
                    "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
                }.items():  # fmt: skip
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)
            except OSError:  # who asked has gone
                self.close_connection = True

    return Handler
