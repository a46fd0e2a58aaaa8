"""One command's output: what is shown, what is kept, and that nothing is lost between."""

from __future__ import annotations

import itertools
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlgym_lite.isolation.output import CapturedOutput, OutputCapture

NOTICE = re.compile(r"\n\[\.\.\. (\d+) of (\d+) bytes cut; the whole output is in the record as ([^ ]+) \.\.\.\]\n")


def _captured(pieces: list[bytes], shown_bytes: int, folder: Path) -> CapturedOutput:
    capture = OutputCapture(folder / "0001.txt", shown_bytes)
    for piece in pieces:
        capture.add(piece)
    return capture.finish()


def test_short_text_is_shown_whole_and_makes_no_file(tmp_path: Path) -> None:
    """Output that fits is the text itself, and no file is made for it."""
    output = _captured([b"hel", b"lo\n"], 100, tmp_path)
    assert (output.text, output.total_bytes, output.file) == ("hello\n", 6, None)
    assert not list(tmp_path.iterdir())


def test_no_output_is_empty_text(tmp_path: Path) -> None:
    """A command that prints nothing shows nothing."""
    assert _captured([], 100, tmp_path).text == ""


def test_long_output_is_shown_by_head_and_tail_with_how_much_was_cut(tmp_path: Path) -> None:
    """Long output shows its beginning and end, says how much lies between, and is whole in the file."""
    whole = b"".join(b"%06d\n" % number for number in range(1000))
    output = _captured([whole], 140, tmp_path)
    assert output.text.startswith("000000\n")
    assert output.text.endswith("000999\n")
    match = NOTICE.search(output.text)
    assert match is not None
    assert (int(match[1]), int(match[2]), match[3]) == (7000 - 140, 7000, "0001.txt")
    assert output.file is not None and output.file.read_bytes() == whole


def test_output_that_is_not_text_is_kept_as_it_was(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are shown with a mark in their place and kept exactly in a file."""
    output = _captured([b"a\xff\xfeb"], 100, tmp_path)
    assert output.text == "a\ufffd\ufffdb"
    assert output.file is not None and output.file.read_bytes() == b"a\xff\xfeb"


@pytest.mark.parametrize("shown", range(20, 32))
def test_cutting_never_splits_a_character(shown: int, tmp_path: Path) -> None:
    """Head and tail begin and end between characters, whatever the number of bytes shown."""
    output = _captured([("€uro🙂é" * 50).encode()], shown, tmp_path)
    assert "\ufffd" not in output.text


def test_the_file_of_an_agents_output_is_private(tmp_path: Path) -> None:
    """What a command printed is readable by the engine's user only."""
    output = _captured([b"x" * 1000], 10, tmp_path)
    assert output.file is not None and output.file.stat().st_mode & 0o077 == 0


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=8), st.integers(1, 120))
@settings(deadline=None)
def test_it_does_not_matter_in_which_pieces_output_comes(whole: bytes, cuts: list[int], shown: int) -> None:
    """Any division into pieces shows the same text and keeps the same bytes; what is shown and cut adds up to the whole."""
    edges = [0, *sorted(cut for cut in cuts if cut <= len(whole)), len(whole)]
    pieces = [whole[start:end] for start, end in itertools.pairwise(edges)]
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        one, many = _captured([whole], shown, Path(first)), _captured(pieces, shown, Path(second))
        assert one.text == many.text
        assert one.total_bytes == many.total_bytes == len(whole)
        for output in (one, many):
            assert output.file is None or output.file.read_bytes() == whole
        if len(whole) <= shown and one.file is None:
            assert one.text.encode() == whole
        if len(whole) > shown:
            assert NOTICE.search(one.text)
