"""A server that speaks OpenAI's chat-completions protocol from a script, for tests and for debugging agents without a model.

The script is JSON Lines: each line answers one request, in order. A line is a text, or an object with any of these keys:

    content, reasoning          what the model says and thinks
    tool_calls                  [{"name": …, "arguments": object or text}]
    usage                       [input, output] tokens; null: the server does not tell
    finish_reason               else `stop` or `tool_calls`
    delay_seconds               before the answer begins
    pieces, piece_seconds       in how many pieces a streamed answer comes, and the pause between them
    dies_after                  close the connection after so many characters
    status, error, retry_after  answer with this HTTP status, {"message", "code"} and header instead

A request longer than `context_characters` is refused as a provider refuses it, and takes no line; nor does one for embeddings.
"""

from __future__ import annotations

import json
import socket
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

from mlgym_lite.errors import ActionsError

_KINDS: Mapping[str, Any] = {
    "content": str, "reasoning": str, "tool_calls": list, "usage": list, "finish_reason": str, "delay_seconds": (int, float),
    "pieces": int, "piece_seconds": (int, float), "dies_after": int, "status": int, "error": dict, "retry_after": (int, float),
}  # fmt: skip
_NAMES = {str: "a text", list: "a list", int: "a whole number", dict: 'a text, or {"message", "code"}'}
_EXPECTED = {key: "a number" if isinstance(kind, tuple) else _NAMES[kind] for key, kind in _KINDS.items()}
_MODEL = "script"
_PLACES = ("/v1/chat/completions", "/v1/embeddings")
_DIMENSIONS = 256


def read_script(path: Path) -> list[dict[str, Any]]:
    """The lines of a script.

    Raises:
        ActionsError: The file cannot be read, or a line is not one of a script; the message names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ActionsError(f"{path}: cannot be read: {error}") from error
    entries = [_script_line(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not entries:
        raise ActionsError(f"{path}: holds no reply; expected a JSON text or object a line")
    return entries


def _script_line(line: str, place: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError as error:
        raise ActionsError(f"{place}: is not JSON: {error}") from error
    if isinstance(entry, str):
        return {"content": entry}
    if not isinstance(entry, dict):
        raise ActionsError(f"{place}: expected a text or an object")
    unknown = sorted(entry.keys() - _KINDS.keys())
    if unknown:
        raise ActionsError(f"{place}: unknown key {unknown[0]!r}; known here: {', '.join(sorted(_KINDS))}")
    if isinstance(entry.get("error"), str):
        entry["error"] = {"message": entry["error"]}
    for key, value in entry.items():
        if value is not None and not isinstance(value, _KINDS[key]):
            raise ActionsError(f"{place}: {key}: expected {_EXPECTED[key]}, not {value!r}")
    if not all(isinstance(call, dict) and isinstance(call.get("name"), str) for call in entry.get("tool_calls") or []):
        raise ActionsError(f"{place}: tool_calls: expected objects with a name and arguments")
    return entry


class ScriptServer:
    """The server; use it as a context manager. `requests` has every request's body, in order."""

    def __init__(
        self,
        script: Sequence[Mapping[str, Any]],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        context_characters: int | None = None,
        on_request: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> None:
        """`port` 0 takes a free one; `on_request` is told of each request's body."""
        self.requests: list[dict[str, Any]] = []
        self._script = iter(script)
        self._length = len(script)
        self._context_characters = context_characters
        self._on_request = on_request
        self._lock = threading.Lock()
        self.stopping = threading.Event()
        self._server = ThreadingHTTPServer((host, port), _handler_for(self))
        self._server.daemon_threads = True
        self.base_url = f"http://{host}:{self._server.server_address[1]}/v1"

    def __enter__(self) -> ScriptServer:
        threading.Thread(target=self._server.serve_forever, name="script-server", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def serve_forever(self) -> None:
        """Serve on this thread until it is interrupted."""
        try:
            self._server.serve_forever()
        finally:
            self.stopping.set()
            self._server.server_close()

    def answer_to(self, request: dict[str, Any]) -> Mapping[str, Any]:
        """The script's line for a request."""
        with self._lock:
            self.requests.append(request)
            if self._on_request is not None:
                self._on_request(request)
            length = len(json.dumps(request.get("messages", [])))
            if self._context_characters is not None and length > self._context_characters:
                most = self._context_characters
                message = f"This model's maximum context length is {most} characters; the messages have {length}."
                return {"status": 400, "error": {"message": message, "code": "context_length_exceeded"}}
            used_up = {"status": 400, "error": {"message": f"the script is used up: it has {self._length} replies"}}
            return next(self._script, used_up)


def _handler_for(server: ScriptServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers one connection's requests."""

        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *arguments: Any) -> None:
            """Nothing goes to stderr."""

        def do_GET(self) -> None:
            """The list of models."""
            if self.path.rstrip("/").endswith("/models"):
                self._send(200, {"object": "list", "data": [{"id": _MODEL, "object": "model", "owned_by": "mlgym-lite"}]})
            else:
                self._send(404, {"error": {"message": f"no such place: {self.path}"}})

        def do_POST(self) -> None:
            """A completion."""
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            place = self.path.rstrip("/")
            if place not in _PLACES:
                self._send(
                    404, {"error": {"message": f"no such place: {self.path}; known here: {', '.join(_PLACES)}, /v1/models"}}
                )
                return
            try:
                request = json.loads(body)
                streamed = bool(request.get("stream"))
            except (ValueError, AttributeError):
                self._send(400, {"error": {"message": "the body is not a JSON object"}})
                return
            if place == "/v1/embeddings":
                self._send(200, _embeddings(request))
                return
            entry = server.answer_to(request)
            server.stopping.wait(entry.get("delay_seconds", 0))
            if entry.get("status", 200) != 200:
                error = {"message": "scripted", "type": "error", "code": None, **entry.get("error", {})}
                headers = {"Retry-After": str(entry["retry_after"])} if "retry_after" in entry else {}
                self._send(entry["status"], {"error": error}, headers)
            elif streamed:
                self._stream(entry, request)
            elif "dies_after" in entry:
                self._die()
            else:
                self._send(200, _whole(entry, request))

        def _send(self, status: int, content: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
            data = json.dumps(content).encode("utf-8")
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def _stream(self, entry: Mapping[str, Any], request: Mapping[str, Any]) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            sent, last = 0, entry.get("dies_after")
            try:
                for chunk in _pieces(entry, request):
                    self._event(json.dumps(chunk))
                    sent += sum(len(choice["delta"].get("content") or "") for choice in chunk["choices"])
                    if last is not None and sent >= last:
                        self._die()
                        return
                    server.stopping.wait(entry.get("piece_seconds", 0))
                self._event("[DONE]")
                self.wfile.write(b"0\r\n\r\n")
            except OSError:  # the client has what it wants
                self.close_connection = True

        def _event(self, text: str) -> None:
            data = f"data: {text}\n\n".encode()
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            self.wfile.flush()

        def _die(self) -> None:
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    return Handler


def _tool_calls(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    calls = []
    for at, call in enumerate(entry.get("tool_calls", [])):
        arguments = call.get("arguments", {})
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        calls.append({"index": at, "id": f"call_{at}", "type": "function", "function": {"name": call["name"], "arguments": text}})
    return calls


def _finish_reason(entry: Mapping[str, Any]) -> str:
    return str(entry.get("finish_reason") or ("tool_calls" if entry.get("tool_calls") else "stop"))


def _usage(entry: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, int] | None:
    """Tokens as the script says, else about four characters each."""
    if "usage" in entry and entry["usage"] is None:
        return None
    guessed = (len(json.dumps(request.get("messages", []))) // 4, len(entry.get("content") or "") // 4 + 1)
    sent, received = entry.get("usage", guessed)
    return {"prompt_tokens": sent, "completion_tokens": received, "total_tokens": sent + received}


def _whole(entry: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    message = {"role": "assistant", "content": entry.get("content"), "tool_calls": _tool_calls(entry) or None}
    if entry.get("reasoning"):
        message["reasoning_content"] = entry["reasoning"]
    choice = {"index": 0, "message": message, "finish_reason": _finish_reason(entry)}
    return {**_head("chat.completion", request), "choices": [choice], "usage": _usage(entry, request)}


def _pieces(entry: Mapping[str, Any], request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The chunks of a streamed answer."""
    head = _head("chat.completion.chunk", request)

    def chunk(delta: Mapping[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        return {**head, "choices": [{"index": 0, "delta": dict(delta), "finish_reason": finish_reason}]}

    yield chunk({"role": "assistant", "content": ""})
    if entry.get("reasoning"):
        yield chunk({"reasoning_content": entry["reasoning"]})
    text = entry.get("content") or ""
    size = max(1, -(-len(text) // max(1, entry.get("pieces", 8))))
    for start in range(0, len(text), size):
        yield chunk({"content": text[start : start + size]})
    for call in _tool_calls(entry):
        arguments = call["function"]["arguments"]
        yield chunk({"tool_calls": [{**call, "function": {**call["function"], "arguments": ""}}]})
        for start in range(0, len(arguments), 20):
            yield chunk({"tool_calls": [{"index": call["index"], "function": {"arguments": arguments[start : start + 20]}}]})
    yield chunk({}, _finish_reason(entry))
    usage = _usage(entry, request)
    if usage is not None and (request.get("stream_options") or {}).get("include_usage"):
        yield {**head, "choices": [], "usage": usage}


def _embeddings(request: Mapping[str, Any]) -> dict[str, Any]:
    """A vector for each text: how often each run of three letters is in it, so that alike words lie close."""
    given = request.get("input") or []
    texts = [given] if isinstance(given, str) else given
    data = [{"object": "embedding", "index": at, "embedding": _vector(str(text))} for at, text in enumerate(texts)]
    return {"object": "list", "model": _MODEL, "data": data, "usage": {"prompt_tokens": 0, "total_tokens": 0}}


def _vector(text: str) -> list[float]:
    vector = [0.0] * _DIMENSIONS
    for word in text.lower().split():
        for start in range(len(word) - 2):
            vector[zlib.crc32(word[start : start + 3].encode("utf-8")) % _DIMENSIONS] += 1.0
    return vector


def _head(kind: str, request: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": "chatcmpl-script", "object": kind, "created": 0, "model": str(request.get("model", _MODEL))}
