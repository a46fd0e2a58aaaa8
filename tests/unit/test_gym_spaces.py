"""The space of texts: everything is in it, vector environments know it, and shared memory gives back what it was given."""

from __future__ import annotations

import copy
import pickle

import pytest
from gymnasium.spaces import Dict, Tuple
from gymnasium.vector.utils import (
    batch_space,
    concatenate,
    create_empty_array,
    create_shared_memory,
    iterate,
    read_from_shared_memory,
    write_to_shared_memory,
)
from hypothesis import given
from hypothesis import strategies as st

from mlgym_lite.gym.spaces import UnicodeText

ANY_TEXT = st.text(st.characters(exclude_categories=()))
"""Lone surrogates and the NUL included."""


@given(ANY_TEXT)
def test_every_text_is_in_it(text: str) -> None:
    """And what is no text is not."""
    assert text in UnicodeText() and text.encode("utf-8", "surrogatepass") not in UnicodeText()


def test_samples_come_from_the_seed() -> None:
    """They are texts of it, of many kinds."""
    one, other = UnicodeText(seed=3), UnicodeText(seed=3)
    samples = [one.sample() for _ in range(50)]
    assert samples == [other.sample() for _ in range(50)] and len(set(samples)) > 40
    assert all(sample in one for sample in samples) and any(not sample.isascii() for sample in samples)
    with pytest.raises(ValueError, match="mask"):
        one.sample(mask=(1, None))


def test_spaces_are_equal_and_travel() -> None:
    """As vector environments compare and copy them."""
    space = UnicodeText(shared_bytes=100)
    assert space == copy.deepcopy(space) == pickle.loads(pickle.dumps(space)) and space != UnicodeText()
    assert hash(space) == hash(copy.deepcopy(space)) and repr(space) == "UnicodeText(shared_bytes=100)"


def test_gymnasium_batches_it() -> None:
    """As a tuple of texts."""
    space = UnicodeText()
    batched = batch_space(space, 3)
    assert isinstance(batched, Tuple) and ("a", "", "\ud800") in batched
    assert list(iterate(batched, ("a", "b", "c"))) == ["a", "b", "c"]
    assert concatenate(space, ("a", "b"), create_empty_array(space, 2)) == ("a", "b")
    assert len(batched.sample()) == 3 and Dict({"text": space}).sample()["text"] in space


@given(st.lists(ANY_TEXT, min_size=3, max_size=3))
def test_shared_memory_gives_back_what_it_was_given(texts: list[str]) -> None:
    """Each environment has its place, which others do not touch."""
    space = UnicodeText(shared_bytes=4000)
    memory = create_shared_memory(space, 3)
    view = read_from_shared_memory(space, memory, 3)
    assert list(view) == ["", "", ""]
    for at in (2, 0, 1):
        write_to_shared_memory(space, at, "x" * 4000, memory)
        write_to_shared_memory(space, at, texts[at], memory)
    copied = copy.deepcopy(view)
    assert copied == tuple(texts) == tuple(view) and (view[-1], view[:2]) == (texts[2], tuple(texts[:2]))
    write_to_shared_memory(space, 0, "another", memory)
    assert view[0] == "another" and copied == tuple(texts)


@given(ANY_TEXT, st.integers(0, 200))
def test_what_is_too_long_to_be_shared_is_cut(text: str, room: int) -> None:
    """It says so, and stays a text."""
    space = UnicodeText(shared_bytes=room)
    memory = create_shared_memory(space, 2)
    write_to_shared_memory(space, 1, "n" * room, memory)
    write_to_shared_memory(space, 0, text * 50, memory)
    shown, neighbour = read_from_shared_memory(space, memory, 2)
    assert neighbour == "n" * room
    if len((text * 50).encode("utf-8", "surrogatepass")) > room:
        assert len(shown.encode()) <= room and ("longer than" in shown or room < 60)
    else:
        assert shown == text * 50
