"""Literature as a service: an agent searches papers and reads them through the engine, while its sandbox stays offline.

An agent names words and papers, never addresses. Whatever goes wrong outside comes back as words.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mlgym_lite.services.papers import (
    PAPER_NAMES,
    LiteratureError,
    LiteratureProvider,
    Paper,
    clean_text,
    paper_identifier,
    shortened,
)
from mlgym_lite.services.protocol import Answer, ServiceCommand

logger = logging.getLogger(__name__)

SEARCH, READ = "literature_search", "read_paper"

_USUAL_COUNT, _MOST_PAPERS = 5, 20
_LONGEST_QUERY = 300
_ABSTRACT_CHARACTERS = 600
_PAGE_CHARACTERS = 12_000
_MOST_CHARACTERS = 2_000_000
_KEPT_PAPERS = 8
_TURN_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """A paper that was read, in pages."""

    paper: Paper
    pages: tuple[str, ...]
    full: bool
    """Else there is only what the provider's record says."""


class LiteratureService:
    """The service; it keeps the papers read last, so that turning a page fetches nothing."""

    name = "literature"
    commands = (
        ServiceCommand(
            name=SEARCH,
            usage=f"{SEARCH} QUERY [COUNT]",
            summary=f"search scientific papers by words; COUNT is 1 to {_MOST_PAPERS}, {_USUAL_COUNT} if left out",
        ),
        ServiceCommand(name=READ, usage=f"{READ} ID [PAGE]", summary="read a paper, a page of about 12,000 characters at a time"),
    )

    def __init__(self, provider: LiteratureProvider, *, paper_text: Callable[[bytes], str] | None = None) -> None:
        """`paper_text` makes text of a PDF or raises LiteratureError; it is a process with limits if left out."""
        self._provider = provider
        self._paper_text = paper_text or _read_apart
        self._readings: OrderedDict[str, _Reading] = OrderedDict()
        self._turn = threading.Lock()

    def answer(self, command: str, arguments: Sequence[str], attached: bytes) -> Answer:
        """See Service. Calls are answered one after another."""
        serve = {SEARCH: self._search, READ: self._read}.get(command)
        if serve is None:
            return Answer(ok=False, text=f"{clean_text(command[:80])!r}: expected one of {SEARCH}, {READ}")
        if not self._turn.acquire(timeout=_TURN_SECONDS):
            return Answer(ok=False, text=f"{command}: another call is still being answered; ask one at a time")
        try:
            return serve([clean_text(argument) for argument in arguments])
        except LiteratureError as error:
            return Answer(ok=False, text=f"{command}: {error}.")
        except Exception:
            logger.exception("%s failed", command)
            return Answer(ok=False, text=f"{command}: it failed in the engine, not through you; go on without it.")
        finally:
            self._turn.release()

    def close(self) -> None:
        """Forget what was read."""
        self._readings.clear()

    def _search(self, arguments: Sequence[str]) -> Answer:
        count = _USUAL_COUNT
        if len(arguments) > 1 and arguments[-1].isdecimal():
            count = int(arguments[-1][:9])
            arguments = arguments[:-1]
            if not 1 <= count <= _MOST_PAPERS:
                return _misused(SEARCH, f"COUNT is 1 to {_MOST_PAPERS}, not {count}; quote the words if it is one of them")
        query = " ".join(" ".join(arguments).split())
        if not query or query.startswith("-"):
            return _misused(SEARCH, "expected words to search for")
        if len(query) > _LONGEST_QUERY:
            return _misused(SEARCH, f"the words have {len(query)} characters, more than {_LONGEST_QUERY}; name a few")
        papers = self._provider.search(query, count)
        if not papers:
            return Answer(
                ok=True,
                text=f"No paper found for: {query}\nAsk with fewer or more usual words, without quotes or operators, "
                "or with the words of a title.",
            )
        entries = [f"{at}. {_entry(paper)}" for at, paper in enumerate(papers, 1)]
        return Answer(ok=True, text="\n\n".join([*entries, f"`{READ} ID` reads one."]))

    def _read(self, arguments: Sequence[str]) -> Answer:
        if not 1 <= len(arguments) <= 2:
            return _misused(READ, "expected the ID of one paper, and perhaps a page")
        identifier = paper_identifier(arguments[0])
        if identifier is None:
            return _misused(READ, f"{shortened(arguments[0], 80)!r} is no ID; expected {PAPER_NAMES}. {SEARCH} tells them")
        page = arguments[1] if len(arguments) == 2 else "1"
        if not page.isdecimal() or int(page[:9]) < 1:
            return _misused(READ, f"PAGE is a number from 1, not {shortened(page, 40)!r}")
        reading = self._reading(identifier)
        if reading is None:
            told = f"{self._provider.name} has no paper {identifier}. {SEARCH} tells the IDs it has."
            return Answer(ok=False, text=f"{READ}: {told}")
        number, last = int(page[:9]), len(reading.pages)
        if number > last:
            return _misused(READ, f"the paper has {last} page{'s' if last > 1 else ''}, so there is no page {number}")
        more = f"; `{READ} {identifier} {number + 1}` goes on" if number < last else ""
        foot = f"[page {number} of {last}{more}]"
        head = _about(reading.paper) if number == 1 else shortened(reading.paper.title, 300)
        return Answer(ok=True, text=f"{head}\n\n{reading.pages[number - 1]}\n\n{foot}")

    def _reading(self, identifier: str) -> _Reading | None:
        """The paper, from memory if it is among the last; None where there is none."""
        reading = self._readings.get(identifier)
        if reading is None:
            paper = self._provider.paper(identifier)
            if paper is None:
                return None
            kept = (reading for reading in self._readings.values() if reading.paper.identifier == paper.identifier)
            reading = next(kept, None) or self._read_paper(paper)
        if reading.full or not reading.paper.pdf_addresses:  # else the PDF may be there next time
            self._readings[identifier] = reading
            self._readings.move_to_end(identifier)
        while len(self._readings) > _KEPT_PAPERS:
            self._readings.popitem(last=False)
        return reading

    def _read_paper(self, paper: Paper) -> _Reading:
        try:
            text = self._paper_text(self._provider.full_text(paper))
        except LiteratureError as error:
            return _Reading(paper=paper, pages=(f"[No full text: {error}.]\n\n{_without_full_text(paper)}",), full=False)
        return _Reading(paper=paper, pages=_pages(text), full=True)


def _read_apart(content: bytes) -> str:
    from mlgym_lite.services.paper_text import paper_text

    read = paper_text(content)
    return read.text if read.complete else read.text + "\n\n[The rest is left out: the paper is too long to read in full.]"


def _misused(command: str, problem: str) -> Answer:
    usage = next(known.usage for known in LiteratureService.commands if known.name == command)
    return Answer(ok=False, text=f"{command}: {problem}.\nUsage: {usage}")


def _entry(paper: Paper) -> str:
    """A paper in a list of them."""
    abstract = shortened(paper.abstract or paper.summary, _ABSTRACT_CHARACTERS) or "(no abstract)"
    readable = "full text: yes" if paper.pdf_addresses else "full text: no, abstract only"
    return f"{_about(paper)}\n   {readable}\n   {abstract}"


def _about(paper: Paper) -> str:
    year = f" ({paper.year})" if paper.year is not None else ""
    authors = ", ".join(shortened(name, 60) for name in paper.authors[:3]) + (" et al." if len(paper.authors) > 3 else "")
    facts = [authors, shortened(paper.venue, 100), f"{paper.citations} citations" if paper.citations is not None else ""]
    names = ", ".join((paper.identifier, *paper.other_names))
    known = "; ".join(fact for fact in facts if fact) or "(nothing more known)"
    return f"{shortened(paper.title, 300)}{year}\n   ID: {names}\n   {known}"


def _without_full_text(paper: Paper) -> str:
    parts = [
        f"Abstract: {paper.abstract}" if paper.abstract else "",
        f"In one sentence: {paper.summary}" if paper.summary else "",
    ]
    return "\n\n".join(part for part in parts if part)[:_PAGE_CHARACTERS] or "(The provider has no abstract of it either.)"


def _pages(text: str) -> tuple[str, ...]:
    """The text in pages, which end at the end of a line where there is one."""
    text = text[:_MOST_CHARACTERS]
    pages = []
    start = 0
    while len(text) - start > _PAGE_CHARACTERS:
        end = text.rfind("\n", start + _PAGE_CHARACTERS // 2, start + _PAGE_CHARACTERS) + 1 or start + _PAGE_CHARACTERS
        pages.append(text[start:end].strip("\n"))
        start = end
    pages.append(text[start:].strip("\n"))
    return tuple(pages)
