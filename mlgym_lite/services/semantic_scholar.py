"""Semantic Scholar's Academic Graph as a provider of papers, https://api.semanticscholar.org/api-docs/graph.

It answers without a key, though all who have none share one limit; a key of one's own goes into the header `x-api-key` alone.
Of what it sends, only the fields named here are taken, each checked for its type. PDFs are on other people's servers:
their addresses come from a paper's record, or from its arXiv id there, and `guarded_http` fetches them.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import re
import time
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlgym_lite.config.allowed_hosts import AllowedHost, parse_allowed_host
from mlgym_lite.errors import LimitError
from mlgym_lite.services.papers import LiteratureError, Paper, clean_text, paper_identifier, shortened

if TYPE_CHECKING:
    import tenacity

    from mlgym_lite.services.guarded_http import Fetched, FetchLimits, Resolver

logger = logging.getLogger(__name__)

BASE_URL = "https://api.semanticscholar.org"
ARXIV_URL = "https://arxiv.org/pdf/"

_KEYS = ("SEMANTIC_SCHOLAR_API_KEY", "S2_API_KEY")
_LIBRARIES = ("httpcore", "pypdf", "tenacity")
_SEARCH_FIELDS = "title,abstract,year,authors,venue,citationCount,externalIds,openAccessPdf"
_PAPER_FIELDS = _SEARCH_FIELDS + ",tldr"
_NAMES = {"ArXiv": "ARXIV", "DOI": "DOI", "ACL": "ACL", "PubMed": "PMID"}
_PLAIN_ARXIV_ID = re.compile(r"[A-Za-z0-9./-]{4,40}")
_LONGEST_TEXT = 20_000
_MOST_AUTHORS = 100


@dataclass(frozen=True, kw_only=True)
class ScholarLimits:
    """What asking Semantic Scholar, and fetching a PDF, may take."""

    seconds: float = 30.0
    """For one question with all its repetitions, and again for one PDF."""
    answer_seconds: float = 15.0
    """For one answer."""
    attempts: int = 6
    answer_bytes: int = 10_000_000
    pdf_bytes: int = 30_000_000
    redirects: int = 5


class SemanticScholar:
    """The provider; it holds nothing open."""

    name = "Semantic Scholar"

    def __init__(
        self,
        *,
        environment: Mapping[str, str],
        base_url: str = BASE_URL,
        arxiv_url: str = ARXIV_URL,
        limits: ScholarLimits | None = None,
        own_hosts: Sequence[str] = (),
        resolver: Resolver | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`environment` holds the key, if any; `own_hosts`, such as `local:mirror.cluster:8080`, are hosts of the site's own from
        which PDFs may come though they are not on the public internet, written as on an allow-list.

        `base_url` may be anywhere: it is the user's choice. Raises LimitError where the extra is not installed or a setting is
        unusable.
        """
        missing = [library for library in _LIBRARIES if importlib.util.find_spec(library) is None]
        if missing:
            raise LimitError(f"literature search needs {', '.join(missing)}: pip install 'mlgym-lite[literature]'")
        if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", base_url):
            raise LimitError(f"Semantic Scholar's address: expected something like {BASE_URL}, not {base_url!r}")
        self._key = next((environment[name].strip() for name in _KEYS if environment.get(name, "").strip()), "")
        if not re.fullmatch(r"[\x21-\x7e]*", self._key):
            raise LimitError(f"{' or '.join(_KEYS)}: holds characters that no key has; take it from where it was given again")
        self._graph = base_url.rstrip("/") + "/graph/v1/"
        self._arxiv_url = arxiv_url
        self._limits = limits or ScholarLimits()
        self._own_hosts = _own_hosts(own_hosts)
        self._resolver = resolver
        self._sleep = sleep
        self._clock = clock

    def search(self, query: str, count: int) -> tuple[Paper, ...]:
        """See LiteratureProvider. Hyphens are left out, as its search finds nothing with them."""
        words = re.sub(r"(?<=\w)[-‐‑](?=\w)", " ", query)
        answer = self._ask("paper/search", {"query": words, "limit": str(count), "fields": _SEARCH_FIELDS})
        records = [] if answer is None else answer.get("data", [])
        if answer is None or not isinstance(records, list):
            raise LiteratureError(f"{self.name} sent something else than papers; try again later")
        papers = (self._paper(record) for record in records[:count])
        return tuple(paper for paper in papers if paper is not None)

    def paper(self, identifier: str) -> Paper | None:
        """See LiteratureProvider."""
        record = self._ask("paper/" + urllib.parse.quote(identifier, safe=":/"), {"fields": _PAPER_FIELDS})
        return None if record is None else self._paper(record)

    def full_text(self, paper: Paper) -> bytes:
        """See LiteratureProvider: each address of the paper is tried, within the time for one."""
        if not paper.pdf_addresses:
            raise LiteratureError(f"{self.name} knows no PDF of it that is free to read")
        from mlgym_lite.services.guarded_http import FetchError

        deadline = self._clock() + self._limits.seconds
        reasons: list[str] = []
        for at, address in enumerate(paper.pdf_addresses):
            seconds = (deadline - self._clock()) / (len(paper.pdf_addresses) - at)
            try:
                return self._pdf(address, max(seconds, 0.1))
            except FetchError as error:
                logger.info("no PDF at %s: %s", address, error)
                reasons.append(str(error))
        raise LiteratureError("its PDF cannot be had: " + "; ".join(dict.fromkeys(reasons)))

    def _pdf(self, address: str, seconds: float) -> bytes:
        from mlgym_lite.services.guarded_http import FetchError, FetchLimits, may_connect

        limits = FetchLimits(
            seconds=seconds,
            most_bytes=self._limits.pdf_bytes,
            redirects=self._limits.redirects,
            allowed=lambda host, port, address: may_connect(host, port, address, self._own_hosts),
        )
        fetched = self._fetch(address, limits, {"Accept": "application/pdf"})
        if fetched.status != 200:
            raise FetchError(f"its server answered with status {fetched.status}")
        if not fetched.body.startswith(b"%PDF"):
            raise FetchError("its server sent no PDF")
        return fetched.body

    def _fetch(self, address: str, limits: FetchLimits, headers: Mapping[str, str]) -> Fetched:
        from mlgym_lite.services import guarded_http

        resolver = self._resolver or guarded_http.resolve
        return guarded_http.fetch(address, limits=limits, headers=headers, resolver=resolver, clock=self._clock)

    def _ask(self, path: str, parameters: Mapping[str, str]) -> dict[str, Any] | None:
        """The answer to a question, asked again while what fails can pass; None where there is no such thing."""
        import tenacity

        deadline = self._clock() + self._limits.seconds
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_Busy),
            wait=_pause,
            stop=lambda state: state.attempt_number >= self._limits.attempts or self._clock() + _pause(state) >= deadline,
            sleep=self._sleep,
            reraise=True,
        )
        address = f"{self._graph}{path}?{urllib.parse.urlencode(parameters)}"
        try:
            return retrying(self._ask_once, address, deadline)
        except _Busy as busy:
            later = f"in {busy.seconds:.0f} s" if busy.seconds and busy.seconds < 3600 else "later, or go on without"
            raise LiteratureError(f"{self.name} is busy or out of reach ({busy}); try again {later}") from busy

    def _ask_once(self, address: str, deadline: float) -> dict[str, Any] | None:
        from mlgym_lite.services.guarded_http import FetchError, FetchLimits, OutOfReach

        seconds = max(min(self._limits.answer_seconds, deadline - self._clock()), 0.1)
        limits = FetchLimits(seconds=seconds, most_bytes=self._limits.answer_bytes, allowed=lambda host, port, address: True)
        try:
            fetched = self._fetch(
                address, limits, {"Accept": "application/json", **({"x-api-key": self._key} if self._key else {})}
            )
        except OutOfReach as error:
            raise _Busy(str(error), None) from error
        except FetchError as error:
            raise LiteratureError(f"the answer of {self.name} cannot be used: {error}; ask for less") from error
        return self._judged(fetched)

    def _judged(self, fetched: Fetched) -> dict[str, Any] | None:
        status = fetched.status
        if status == 429 or status >= 500:
            raise _Busy(f"status {status}", _retry_after(fetched.headers.get("retry-after", "")))
        if status == 404:
            return None
        if status in (401, 403):
            raise LiteratureError(f"{self.name} does not let the engine in (status {status}); go on without literature")
        try:
            answer = json.loads(fetched.body)
        except (ValueError, RecursionError):
            answer = None
        if status == 200 and isinstance(answer, dict):
            return answer
        told = _text(answer.get("error") or answer.get("message")) if isinstance(answer, dict) else ""
        if told:
            told = ": " + shortened(told.replace(self._key, "…") if self._key else told, 300)
        raise LiteratureError(f"{self.name} did not take the question, or sent no usual answer (status {status}){told}")

    def _paper(self, record: object) -> Paper | None:
        """The record as a Paper; None where it is not one."""
        if not isinstance(record, dict) or not isinstance(record.get("paperId"), str):
            return None
        identifier = paper_identifier(record["paperId"])
        if identifier is None:
            return None
        outside = record.get("externalIds")
        outside = outside if isinstance(outside, dict) else {}
        named = (paper_identifier(f"{prefix}:{_text(outside[name])}") for name, prefix in _NAMES.items() if name in outside)
        return Paper(
            identifier=identifier,
            title=_text(record.get("title")) or "(no title)",
            year=_number(record.get("year")),
            authors=_authors(record.get("authors")),
            venue=_text(record.get("venue")),
            citations=_number(record.get("citationCount")),
            abstract=_text(record.get("abstract")),
            summary=_text(_inside(record.get("tldr"), "text")),
            other_names=tuple(name for name in named if name),
            pdf_addresses=self._pdf_addresses(_text(outside.get("ArXiv")), _inside(record.get("openAccessPdf"), "url")),
        )

    def _pdf_addresses(self, arxiv_id: str, open_access: object) -> tuple[str, ...]:
        """arXiv's first: it always sends a PDF, where the other is often a page about one."""
        addresses = []
        if _PLAIN_ARXIV_ID.fullmatch(arxiv_id) and paper_identifier("ARXIV:" + arxiv_id):
            addresses.append(self._arxiv_url + arxiv_id)
        if isinstance(open_access, str) and re.match(r"https?://", open_access, re.IGNORECASE) and len(open_access) < 2000:
            addresses.append(open_access)
        return tuple(dict.fromkeys(addresses))


class _Busy(Exception):
    """What can pass; `seconds` is how long the server asks to wait."""

    def __init__(self, told: str, seconds: float | None) -> None:
        super().__init__(told)
        self.seconds = seconds


def _pause(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome is not None else None
    asked = error.seconds if isinstance(error, _Busy) else None
    return max(asked, 0.5) if asked is not None else min(2.0 ** (state.attempt_number - 1), 8.0)


def _retry_after(header: str) -> float | None:
    """Seconds, from seconds or a date."""
    import email.utils

    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", header.strip()):
        return float(header)
    try:
        return max(email.utils.parsedate_to_datetime(header).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return None


def _own_hosts(entries: Sequence[str]) -> tuple[AllowedHost, ...]:
    try:
        return tuple(parse_allowed_host(entry) for entry in entries)
    except ValueError as error:
        raise LimitError(f"hosts of PDFs: {error}") from error


def _authors(value: object) -> tuple[str, ...]:
    listed = value[:_MOST_AUTHORS] if isinstance(value, list) else []
    return tuple(name for name in (_text(_inside(author, "name")) for author in listed) if name)


def _text(value: object) -> str:
    return " ".join(clean_text(value[:_LONGEST_TEXT]).split()) if isinstance(value, str) else ""


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**9 else None


def _inside(value: object, key: str) -> object:
    return value.get(key) if isinstance(value, dict) else None
