"""A space of texts: any Python text is in it, as an agent may write and a program may print whatever it likes.

Gymnasium's own `Text` needs its characters listed, and fixed shapes for shared memory. Here a text is its UTF-8 bytes; the
vector environments' shared memory holds up to `shared_bytes` of each.
"""

from __future__ import annotations

import string
import struct
from collections.abc import Sequence
from multiprocessing.sharedctypes import RawArray
from typing import Any, overload

import numpy as np
from gymnasium.spaces import Space
from gymnasium.vector.utils import create_shared_memory, read_from_shared_memory, write_to_shared_memory

_SAMPLED = string.ascii_letters + string.digits + string.punctuation + " \n\té漢🙂"
_LONGEST_SAMPLE = 80
_LENGTH = struct.Struct("=I")
_CUT = "\n[...: longer than what vector environments share]\n"


class UnicodeText(Space[str]):
    """Every text, the empty one and lone surrogates included; it has no shape."""

    def __init__(self, *, shared_bytes: int = 1 << 18, seed: int | np.random.Generator | None = None) -> None:
        """`shared_bytes`: how many bytes of a text the shared memory of vector environments holds; the rest is cut there."""
        super().__init__(shape=None, dtype=str, seed=seed)
        self.shared_bytes = shared_bytes

    @property
    def is_np_flattenable(self) -> bool:
        """A text is no array."""
        return False

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """A short text of characters of many kinds; masks mean nothing here.

        Raises:
            ValueError: A mask or probability is given.
        """
        if mask is not None or probability is not None:
            raise ValueError("a text cannot be sampled with a mask or probability")
        length = int(self.np_random.integers(_LONGEST_SAMPLE + 1))
        return "".join(_SAMPLED[int(at)] for at in self.np_random.integers(len(_SAMPLED), size=length))

    def contains(self, x: Any) -> bool:
        """Whether it is a text."""
        return isinstance(x, str)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UnicodeText) and other.shared_bytes == self.shared_bytes

    def __hash__(self) -> int:
        return hash((UnicodeText, self.shared_bytes))

    def __repr__(self) -> str:
        return f"UnicodeText(shared_bytes={self.shared_bytes})"


@create_shared_memory.register(UnicodeText)
def _create(space: UnicodeText, n: int = 1, ctx: Any = None) -> Any:
    """One slot for each environment: the length, then the bytes."""
    return RawArray("c", n * (_LENGTH.size + space.shared_bytes))


@write_to_shared_memory.register(UnicodeText)
def _write(space: UnicodeText, index: int, value: str, shared_memory: Any) -> None:
    content = value.encode("utf-8", "surrogatepass")
    if len(content) > space.shared_bytes:
        kept = content[: max(0, space.shared_bytes - len(_CUT.encode()))].decode("utf-8", "ignore")
        content = (kept + _CUT).encode("utf-8")[: space.shared_bytes]
    start = index * (_LENGTH.size + space.shared_bytes)
    view = memoryview(shared_memory).cast("B")
    view[start : start + _LENGTH.size] = _LENGTH.pack(len(content))
    view[start + _LENGTH.size : start + _LENGTH.size + len(content)] = content


class SharedTexts(Sequence[str]):
    """The texts of all environments as they are now; a deep copy is a tuple of them.

    Vector environments ask for the shared memory's content once, as numpy gives a view that changes with it, and hand on deep
    copies unless they are told not to.
    """

    def __init__(self, shared_memory: Any, count: int, slot: int) -> None:
        self._view = memoryview(shared_memory).cast("B")
        self._count = count
        self._slot = slot

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        if isinstance(index, slice):
            return tuple(self[at] for at in range(self._count)[index])
        start = range(self._count)[index] * self._slot
        (length,) = _LENGTH.unpack(self._view[start : start + _LENGTH.size])
        begin = start + _LENGTH.size
        return bytes(self._view[begin : begin + length]).decode("utf-8", "surrogatepass")

    def __deepcopy__(self, memo: Any) -> tuple[str, ...]:
        return tuple(self)


@read_from_shared_memory.register(UnicodeText)
def _read(space: UnicodeText, shared_memory: Any, n: int = 1) -> SharedTexts:
    return SharedTexts(shared_memory, n, _LENGTH.size + space.shared_bytes)
