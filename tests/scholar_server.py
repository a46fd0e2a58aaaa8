"""A server that speaks Semantic Scholar's protocol from a list of records, hands out files, and misbehaves as it is told."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

_NO_TLDR = frozenset({"title", "abstract", "year", "authors", "venue", "citationCount", "externalIds", "openAccessPdf"})
_FIELDS = _NO_TLDR | {"tldr"}


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What the server says to one request."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    wait_seconds: float = 0.0
    """Before anything is sent."""
    piece_seconds: float = 0.0
    """Between the bytes of the first line: a server that drips."""
    endless: bool = False
    """The body is sent again and again, with no length told."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


class ScholarServer:
    """The server, for a test: it gives a file of that path, else the next of `replies`, else what the protocol says."""

    def __init__(self, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self.records: list[Mapping[str, Any]] = []
        self.replies: list[Reply] = []
        self.files: dict[str, Reply] = {}
        """By path."""
        self.requests: list[Request] = []
        self.stopping = threading.Event()
        self._server = ThreadingHTTPServer((host, 0), _handler_for(self))
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = int(self._server.server_address[1])
        self.url = f"http://{host}:{self.port}"

    def __enter__(self) -> ScholarServer:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def paths(self) -> list[str]:
        """What was asked for, in order."""
        return [request.path for request in self.requests]

    def reply_to(self, request: Request) -> Reply:
        """The reply to a request."""
        self.requests.append(request)
        if request.path in self.files:
            return self.files[request.path]
        if self.replies:
            return self.replies.pop(0)
        if request.path == "/graph/v1/paper/search":
            return self._search(request.query)
        prefix = "/graph/v1/paper/"
        if request.path.startswith(prefix):
            return self._paper(urllib.parse.unquote(request.path.removeprefix(prefix)), request.query)
        return _json(404, {"error": "no such endpoint"})

    def _search(self, query: Mapping[str, str]) -> Reply:
        fields = query.get("fields", "title").split(",")
        if unknown := [name for name in fields if name not in _NO_TLDR]:
            return _json(400, {"error": f"Unrecognized or unsupported fields: [{', '.join(unknown)}]"})
        if not query.get("query"):
            return _json(400, {"error": "Missing query"})
        limit = int(query.get("limit", "100"))
        if not 1 <= limit <= 100:
            return _json(400, {"error": f"Unacceptable query params: [limit={limit}]"})
        words = query["query"].lower().split()
        found = [record for record in self.records if all(word in record["title"].lower().replace("-", " ") for word in words)]
        if not found:
            return _json(200, {"total": 0, "offset": 0})  # as it says: without data
        chosen = [_chosen(record, fields) for record in found[:limit]]
        return _json(200, {"total": len(found), "offset": 0, "next": limit, "data": chosen})

    def _paper(self, identifier: str, query: Mapping[str, str]) -> Reply:
        fields = query.get("fields", "title").split(",")
        if unknown := [name for name in fields if name not in _FIELDS]:
            return _json(400, {"error": f"Unrecognized or unsupported fields: [{', '.join(unknown)}]"})
        for record in self.records:
            outside = record.get("externalIds") or {}
            if identifier == record["paperId"] or identifier == f"ARXIV:{outside.get('ArXiv')}":
                return _json(200, _chosen(record, fields))
        return _json(404, {"error": f"Paper with id {identifier} not found"})


def _chosen(record: Mapping[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    return {name: record.get(name) for name in ("paperId", *fields)}


def _json(status: int, content: Mapping[str, Any]) -> Reply:
    return Reply(status=status, body=json.dumps(content).encode(), headers={"Content-Type": "application/json"})


def _handler_for(server: ScholarServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers one connection's requests."""

        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *arguments: Any) -> None:
            """Nothing goes to stderr."""

        def do_GET(self) -> None:
            """Any request."""
            parts = urllib.parse.urlsplit(self.path)
            reply = server.reply_to(
                Request(path=parts.path, query=dict(urllib.parse.parse_qsl(parts.query)), headers=dict(self.headers.items()))
            )
            server.stopping.wait(reply.wait_seconds)
            self.close_connection = True
            with contextlib.suppress(OSError):  # the client has had enough
                self._send(reply)

        def _send(self, reply: Reply) -> None:
            for byte in b"HTTP/1.1 200 " if reply.piece_seconds else b"":
                self.wfile.write(bytes([byte]))
                if server.stopping.wait(reply.piece_seconds):
                    return
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if not reply.endless and "Content-Length" not in reply.headers:
                self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)
            while reply.endless and not server.stopping.is_set():
                self.wfile.write(reply.body)

    return Handler
