"""The tool view_image: a picture that the agent made is shown to a model that can see.

The tool reads the file inside the sandbox, with the agent's rights. Here it is looked at by its first bytes only, never decoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mlgym_lite.services.protocol import Answer, Picture, ServiceCommand

_SIGNATURES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF87a": "image/gif", b"GIF89a": "image/gif"}
_MOST_BYTES = 4 << 20


class PictureService:
    """Hands pictures on."""

    name = "view_image"
    commands: tuple[ServiceCommand, ...] = (
        ServiceCommand(name="view_image", usage="view_image FILE", summary="see a picture (PNG, JPEG, GIF, WebP)"),
    )

    def open(self, run_directory: Path) -> None:
        """The engine keeps the pictures."""

    def answer(self, command: str, arguments: Sequence[str], attached: bytes) -> Answer:
        """The picture, if it is one."""
        path = arguments[0] if arguments else "the file"
        if len(attached) > _MOST_BYTES:
            return Answer(ok=False, text=f"{path}: has more than {_MOST_BYTES >> 20} MiB; save it smaller.")
        kind = _media_type(attached)
        if kind is None:
            return Answer(ok=False, text=f"{path}: is no PNG, JPEG, GIF or WebP picture.")
        size = f"{len(attached):,} bytes"
        return Answer(
            ok=True,
            text=f"[{path}: {kind}, {size}; it comes with this output.]",
            pictures=(Picture(content=attached, media_type=kind),),
        )

    def close(self) -> None:
        """Nothing is held."""


def _media_type(content: bytes) -> str | None:
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for signature, kind in _SIGNATURES.items() if content.startswith(signature)), None)
