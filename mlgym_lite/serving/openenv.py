"""One task over WebSocket as OpenEnv's clients ask for it (openenv 0.10): a connection at /ws is a session with its own sandbox.

A client sends one JSON object and waits for one:

    {"type": "reset", "data": {"seed": 7, "episode_id": "e1"}}    both may be absent
    {"type": "step", "data": {"command": "ls"}}                   the action: one shell input
    {"type": "state"}
    {"type": "close"}                                             no answer

    {"type": "observation", "data": {"observation": {"text": …, "metadata": {…}}, "reward": 0.0, "done": false, "metadata": {…}}}
    {"type": "state", "data": {"episode_id": "e1", "step_count": 1, "steps_left": 49, …}}
    {"type": "error", "data": {"message": …, "code": …}}

`reward` is null after a reset. After an error the session goes on, unless its sandbox could not be begun or the server is full.
GET /health and /schema are answered too. A page in a browser is refused: it would have a shell here. There is no other
authentication: whoever reaches the port gets a sandbox.
"""

from __future__ import annotations

import contextlib
import http
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve

from mlgym_lite.errors import MLGymLiteError, OutputError
from mlgym_lite.gym.environment import TaskEnvironment

_LARGEST_MESSAGE_BYTES = 4 * 1024 * 1024
_ROOM_SECONDS = 2.0
"""How long who comes to a full server waits for a session that is being put away."""
_REFUSAL_SECONDS = 10.0
_MOST_TOLD = 10
"""Mistakes of one message."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Action(_Strict):
    """What a step runs."""

    command: str = Field(description="One shell input.")
    metadata: dict[str, Any] = Field(default_factory=dict, description="Not looked at.")


class Observation(_Strict):
    """What came of it."""

    text: str = Field(description="What was printed, with the engine's notes; after a reset, the task's instruction.")
    metadata: dict[str, Any] = Field(
        description="steps_left, validations_left, terminated, truncated, attempts …; at the end `result`, as in result.json."
    )


class State(_Strict):
    """How the session's episode stands."""

    episode_id: str | None
    step_count: int
    task: str
    variant: str
    seed: int | None
    steps_left: int | None
    done: bool


class _ResetData(_Strict):
    seed: int | None = Field(default=None, ge=0, lt=2**31, strict=True)
    episode_id: str | None = None


class _Reset(_Strict):
    type: Literal["reset"]
    data: _ResetData = Field(default_factory=_ResetData)


class _Step(_Strict):
    type: Literal["step"]
    data: Action


class OpenEnvServer:
    """Serves until it is told to shut down; a thread for each session."""

    def __init__(
        self,
        make_environment: Callable[[], TaskEnvironment],
        *,
        host: str,
        port: int,
        sessions: int,
        idle_seconds: float | None = None,
    ) -> None:
        """Listen; port 0 is a free one. `sessions` is how many there may be at once, each with a sandbox of its own.

        A session whose client asks nothing for `idle_seconds` is ended; None: never.

        Raises:
            OutputError: The address cannot be listened on.
        """
        self._make_environment = make_environment
        self._most = sessions
        self._idle_seconds = idle_seconds
        self._room = threading.BoundedSemaphore(sessions)
        self._lock = threading.Lock()
        self._open: dict[ServerConnection, _Session | None] = {}
        self._all_gone = threading.Condition(self._lock)
        self._is_ending = False
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._server: Server = serve(
                self._serve, sock=socket.create_server((host, port), family=family), process_request=self._page, origins=[None],
                compression=None, max_size=_LARGEST_MESSAGE_BYTES,
            )  # fmt: skip
        except OSError as error:
            number = error.errno or 0
            reason = os.strerror(number) if number > 0 else error.strerror  # below 0: of a name that was looked up
            raise OutputError(f"{host} port {port}: cannot be listened on: {reason}; name another --host or --port") from error
        named, number = self._server.socket.getsockname()[:2]
        self.address = f"http://[{named}]:{number}" if ":" in named else f"http://{named}:{number}"
        """What a client takes as its base_url."""

    def serve_forever(self) -> None:
        """Answer, until `shut_down`, which another thread calls, or an interrupt, after which it must still be called."""
        self._server.serve_forever()

    def shut_down(self) -> None:
        """Take no more sessions and wait for those there are to give everything back; twice is harmless.

        A command that runs is killed; a grading goes on to its end.
        """
        with self._lock:
            self._is_ending = True
            there = dict(self._open)
        for connection, session in there.items():
            with contextlib.suppress(OSError):
                connection.socket.shutdown(socket.SHUT_RDWR)
            if session is not None:
                session.interrupt()
        with self._lock:
            self._all_gone.wait_for(lambda: not self._open)
        self._server.shutdown()

    def _serve(self, connection: ServerConnection) -> None:
        with self._lock:
            self._open[connection] = None
        try:
            if not self._room.acquire(timeout=_ROOM_SECONDS):
                self._refuse(connection)
                return
            try:
                self._play(connection)
            finally:
                self._room.release()
        except (ConnectionClosed, OSError):
            pass  # it has gone
        finally:
            with self._lock:
                del self._open[connection]
                self._all_gone.notify_all()

    def _play(self, connection: ServerConnection) -> None:
        """One session from its environment to its end."""
        try:
            environment = self._make_environment()
        except (MLGymLiteError, OSError) as error:
            connection.send(json.dumps(_error("FACTORY_ERROR", str(error))))
            return
        session = _Session(environment)
        try:
            with self._lock:
                self._open[connection] = session
                if self._is_ending:
                    return
            for message in self._messages(connection):
                answer = session.answer(message)
                if answer is None:
                    break
                connection.send(json.dumps(answer))
        finally:
            session.close()

    def _messages(self, connection: ServerConnection) -> Iterator[str | bytes]:
        """What a client sends, until it closes or asks nothing for too long."""
        while True:
            try:
                yield connection.recv(timeout=self._idle_seconds)
            except TimeoutError:
                connection.close(CloseCode.GOING_AWAY, f"nothing was asked for {self._idle_seconds:g} s")
                return

    def _refuse(self, connection: ServerConnection) -> None:
        """As an answer to its first message: a client that sends into a closed connection would not read why."""
        text = f"Server at capacity: {self._most}/{self._most} sessions active. Cannot accept new connections."
        connection.recv(timeout=_REFUSAL_SECONDS)
        connection.send(json.dumps(_error("CAPACITY_REACHED", text, active_sessions=self._most, max_sessions=self._most)))

    @staticmethod
    def _page(connection: ServerConnection, request: Request) -> Response | None:
        """What is answered over plain HTTP; None lets a WebSocket begin."""
        path = request.path.partition("?")[0]
        if path == "/ws":
            return None
        if path not in _PAGES:
            return connection.respond(http.HTTPStatus.NOT_FOUND, "There are /ws, /health and /schema.\n")
        response = connection.respond(http.HTTPStatus.OK, json.dumps(_PAGES[path]()))
        del response.headers["Content-Type"]
        response.headers["Content-Type"] = "application/json"
        return response


_PAGES: dict[str, Callable[[], dict[str, Any]]] = {
    "/health": lambda: {"status": "healthy"},
    "/schema": lambda: {
        "action": Action.model_json_schema(),
        "observation": Observation.model_json_schema(),
        "state": State.model_json_schema(),
    },
}


class _Session:
    """One client's environment."""

    def __init__(self, environment: TaskEnvironment) -> None:
        self._environment = environment
        self._episode_id: str | None = None
        self._seed: int | None = None
        self._steps = 0
        self._steps_left: int | None = None
        self._is_done = False

    def answer(self, text: str | bytes) -> dict[str, Any] | None:
        """The answer to a message; None where it closes the session."""
        try:
            message = json.loads(text)
        except (ValueError, RecursionError) as error:
            return _error("INVALID_JSON", f"Invalid JSON: {error}")
        kind = message.get("type") if isinstance(message, dict) else None
        try:
            if kind == "reset":
                return self._reset(_Reset.model_validate(message).data)
            if kind == "step":
                return self._step(_Step.model_validate(message).data)
        except ValidationError as error:
            mistakes = json.loads(error.json(include_url=False, include_input=False, include_context=False))
            return _error("VALIDATION_ERROR", _told(error), errors=mistakes[:_MOST_TOLD])
        except (MLGymLiteError, OSError) as error:
            return _error("EXECUTION_ERROR", str(error))
        if kind == "state":
            return {"type": "state", "data": self._state().model_dump()}
        return None if kind == "close" else _error("UNKNOWN_TYPE", f"Unknown message type: {kind!r:.60}")

    def interrupt(self) -> None:
        """Kill what a step runs, from another thread."""
        self._environment.interrupt()

    def close(self) -> None:
        """Give back the sandbox; twice is harmless."""
        self._environment.close()

    def _reset(self, asked: _ResetData) -> dict[str, Any]:
        text, info = self._environment.reset(seed=asked.seed)
        self._episode_id, self._seed, self._steps, self._is_done = asked.episode_id, asked.seed, 0, False
        return self._observed(text, None, info)

    def _step(self, action: Action) -> dict[str, Any]:
        text, reward, terminated, truncated, info = self._environment.step(action.command)
        self._steps += 1
        self._is_done = terminated or truncated
        return self._observed(text, reward, {**info, "terminated": terminated, "truncated": truncated})

    def _observed(self, text: str, reward: float | None, info: dict[str, Any]) -> dict[str, Any]:
        self._steps_left = info["steps_left"]
        metadata = {key: value for key, value in info.items() if key != "outcome"}
        if "outcome" in info:
            metadata["result"] = dict(info["outcome"].result)
        observation = Observation(text=text, metadata=metadata).model_dump()
        return {
            "type": "observation",
            "data": {"observation": observation, "reward": reward, "done": self._is_done, "metadata": metadata},
        }

    def _state(self) -> State:
        return State(
            episode_id=self._episode_id, step_count=self._steps, task=self._environment.task.name,
            variant=self._environment.variant, seed=self._seed, steps_left=self._steps_left, done=self._is_done,
        )  # fmt: skip


def _error(code: str, message: str, **more: Any) -> dict[str, Any]:
    return {"type": "error", "data": {"message": message, "code": code, **more}}


def _told(error: ValidationError) -> str:
    """The first mistake with its key."""
    first = error.errors()[0]
    return f"Invalid message: {'.'.join(map(str, first['loc']))}: {first['msg']}"
