"""Requests of tools in the sandbox, answered while an action runs: validate, submit, and what the run's services offer."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlgym_lite.agents.protocol import ShownPicture
from mlgym_lite.episode.budget import Budget
from mlgym_lite.episode.scoring import Scoring
from mlgym_lite.errors import MLGymLiteError
from mlgym_lite.isolation.output import KeptBytes
from mlgym_lite.isolation.shell_run import ControlRequest, Served
from mlgym_lite.services.protocol import Answer, Picture, Service

logger = logging.getLogger(__name__)

_MOST_PICTURES = 4
_MOST_REPLY_BYTES = 60_000
_UNREADABLE = Answer(ok=False, text="What was sent along with the request cannot be read.")


class ControlDesk:
    """Serves one episode's requests."""

    def __init__(
        self,
        scoring: Scoring,
        budget: Budget,
        baseline: Mapping[str, float] | None,
        services: Sequence[Service],
        outputs: Path,
        kept: KeptBytes,
    ) -> None:
        """`outputs` is where pictures that the agent is shown are kept, within `kept`."""
        self.submit_requested = False
        self._scoring = scoring
        self._budget = budget
        self._baseline = baseline
        self._services = {command.name: service for service in services for command in service.commands}
        self._outputs = outputs
        self._kept = kept
        self._pictures: list[ShownPicture] = []

    def serve(self, request: ControlRequest, step: int) -> Served:
        """Answer one request, whose every byte is the agent's to choose."""
        wanted = _wanted(request.data)
        if wanted == "submit":
            self.submit_requested = True
            return Served(ends_command=True)
        before = self._budget.grading_time
        if wanted == "validate":
            answer = self._scoring.answer_to_validate(step, self._baseline)
        elif wanted in self._services:
            answer = self._from_service(wanted, request.attached, step)
        else:
            known = ", ".join(["validate", "submit", *self._services])
            answer = Answer(ok=False, text=f"{_shown(wanted)}: not part of this run; known here: {known}.")
        _reply(request.reply, ok=answer.ok, text=answer.text)
        return Served(extra_seconds=self._budget.grading_time - before)

    def take_pictures(self) -> tuple[ShownPicture, ...]:
        """The pictures of the action that has just run."""
        pictures, self._pictures = tuple(self._pictures), []
        return pictures

    def _from_service(self, command: str, attached: bytes, step: int) -> Answer:
        first, _, content = attached.partition(b"\n")
        try:
            arguments = json.loads(first)
        except (ValueError, RecursionError):
            return _UNREADABLE
        if not isinstance(arguments, list) or not all(isinstance(argument, str) for argument in arguments):
            return _UNREADABLE
        whole = [argument.encode("utf-8", "replace").decode("utf-8") for argument in arguments]  # without halves of characters
        try:
            answer = self._services[command].answer(command, whole, content)
        except MLGymLiteError as error:
            answer = Answer(ok=False, text=f"{command}: {error}")
        except Exception:  # whatever a service meets outside, the episode goes on
            logger.exception("service failed: %s", command)
            answer = Answer(ok=False, text=f"{command}: failed on the engine's side; try something else.")
        for picture in answer.pictures:
            refusal = self._keep(picture, step)
            if refusal:
                return Answer(ok=False, text=refusal)
        return answer

    def _keep(self, picture: Picture, step: int) -> str:
        """Keep a picture for the record and the agent; why not, where it is not kept."""
        if len(self._pictures) >= _MOST_PICTURES:
            return f"Not shown: {_MOST_PICTURES} pictures a step are the most."
        if len(picture.content) > self._kept.left:
            return "Not shown: the run's outputs are as large as its profile allows (output_mb)."
        kind = picture.media_type.rpartition("/")[2]
        path = self._outputs / f"{step:04d}-{len(self._pictures) + 1}.{kind}"
        path.write_bytes(picture.content)
        self._kept.add(len(picture.content))
        self._pictures.append(ShownPicture(path=str(path), media_type=picture.media_type))
        return ""


def _wanted(data: bytes) -> str:
    try:
        return str(json.loads(data)["request"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""


def _shown(request: str) -> str:
    return request[:40] if request.isprintable() and request else "The request"


def _reply(reply: socket.socket | None, *, ok: bool, text: str) -> None:
    """Send an answer, of as many bytes as the socket's buffer surely holds."""
    content = {"ok": ok, "text": text.encode("utf-8", "replace")[:_MOST_REPLY_BYTES].decode("utf-8", "ignore")}
    if reply is not None:
        with contextlib.suppress(OSError):  # the tool that asked may be gone
            reply.send(json.dumps(content, ensure_ascii=False).encode("utf-8"), socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT)
