"""A program of its own: a PDF on standard input, its text on standard output, a form feed after each page.

It reads what strangers wrote, so it first takes from itself what it does not need: memory and processor time beyond a bound, and,
once pypdf is loaded, every further file or socket. Run it with `python -I`, as mlgym_lite/services/paper_text.py does. What is
written when a limit ends it is text all the same. Exit status: 0 all read, 3 not a readable PDF, 4 locked with a password, 5 out
of memory, 6 stopped at its limits with the text so far.

    python -I pdf_reader.py MEMORY_BYTES PROCESSOR_SECONDS MOST_BYTES < paper.pdf > paper.txt
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import pkgutil
import resource
import sys
import time
import warnings

UNREADABLE, LOCKED, OUT_OF_MEMORY, STOPPED = 3, 4, 5, 6


def main(memory_bytes: int, processor_seconds: int, most_bytes: int) -> int:
    """Read one PDF; the exit status."""
    _limit(resource.RLIMIT_AS, memory_bytes)
    _limit(resource.RLIMIT_CPU, processor_seconds)
    _limit(resource.RLIMIT_FSIZE, 2 * most_bytes)
    _limit(resource.RLIMIT_CORE, 0)
    _load_everything()
    import pypdf
    import pypdf.errors

    _limit(resource.RLIMIT_NPROC, 0)
    _limit(resource.RLIMIT_NOFILE, 3)
    logging.disable()
    warnings.simplefilter("ignore")
    try:
        reader = pypdf.PdfReader(io.BytesIO(sys.stdin.buffer.read()))
        if reader.is_encrypted and not reader.decrypt(""):
            return LOCKED
        return _write_pages(reader, 0.8 * processor_seconds, most_bytes)
    except MemoryError:
        return OUT_OF_MEMORY
    except pypdf.errors.FileNotDecryptedError:
        return LOCKED
    except Exception:  # a broken PDF ends pypdf in every way there is
        return UNREADABLE


def _load_everything() -> None:
    """Load pypdf in full, and every codec: both come piece by piece otherwise, from files that cannot be opened later."""
    import encodings

    import pypdf

    for package in (pypdf, encodings):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".", onerror=lambda name: None):
            with contextlib.suppress(ImportError, AttributeError):  # what is for other systems, or needs what is not installed
                importlib.import_module(module.name)


def _limit(kind: int, value: int) -> None:
    most = resource.getrlimit(kind)[1]
    value = value if most == resource.RLIM_INFINITY else min(value, most)
    resource.setrlimit(kind, (value, value))


def _write_pages(reader: object, processor_seconds: float, most_bytes: int) -> int:
    import pypdf

    assert isinstance(reader, pypdf.PdfReader)
    written, unreadable = 0, 0
    for page in reader.pages:
        if written >= most_bytes or time.process_time() > processor_seconds:
            return STOPPED
        try:
            text = page.extract_text()
        except MemoryError:
            raise
        except Exception:
            unreadable += 1
            text = ""
        content = (text + "\f").encode("utf-8", errors="replace")[: most_bytes - written]
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        written += len(content)
    return UNREADABLE if unreadable and unreadable == len(reader.pages) else 0


if __name__ == "__main__":
    sys.exit(main(*(int(argument) for argument in sys.argv[1:])))
