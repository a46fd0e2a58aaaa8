"""Papers as a search service knows them, how they are named, and what a provider of them must do."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Protocol

PAPER_NAMES = "a Semantic Scholar id (40 hexadecimal digits), CorpusId:…, ARXIV:…, DOI:…, PMID:… or ACL:…"
"""The names `paper_identifier` knows, for messages."""

_NAMES = (
    ("", r"(?P<id>[0-9a-f]{40})"),
    ("CorpusId:", r"corpusid:(?P<id>\d{1,12})"),
    ("ARXIV:", r"(?:arxiv:)?(?P<id>\d{4}\.\d{4,5}|[a-z][a-z.-]{1,20}/\d{7})(?:v\d{1,3})?"),
    ("DOI:", r"(?:doi:)?(?P<id>10\.\d{4,9}/[\w.;()/:<>+-]{1,200})"),
    ("PMID:", r"pmid:(?P<id>\d{1,10})"),
    ("ACL:", r"acl:(?P<id>[a-z0-9][a-z0-9._-]{2,60})"),
)
_KNOWN = tuple((prefix, re.compile(pattern, re.IGNORECASE | re.ASCII)) for prefix, pattern in _NAMES)
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)
_LIGATURES = re.compile("[\ufb00-\ufb06]")


@dataclass(frozen=True, kw_only=True)
class Paper:
    """What a provider's record says of a paper; every text is clean."""

    identifier: str
    """The provider's own; `read_paper` takes it."""
    title: str
    year: int | None = None
    authors: tuple[str, ...] = ()
    venue: str = ""
    citations: int | None = None
    abstract: str = ""
    summary: str = ""
    """One sentence on what the paper does, where the provider has one."""
    other_names: tuple[str, ...] = ()
    """Such as `ARXIV:1706.03762`."""
    pdf_addresses: tuple[str, ...] = ()
    """Where its text is free to read, best first; from the provider's record, never from an agent."""


class LiteratureError(Exception):
    """A provider cannot answer; the message is words for an agent."""


class LiteratureProvider(Protocol):
    """Where papers are searched and read; its methods raise LiteratureError alone, within about half a minute each."""

    name: str

    def search(self, query: str, count: int) -> tuple[Paper, ...]:
        """At most `count` papers, best first."""

    def paper(self, identifier: str) -> Paper | None:
        """The paper of that name, which came from `paper_identifier`; None where the provider has none."""

    def full_text(self, paper: Paper) -> bytes:
        """The paper's PDF, not to be trusted."""


def paper_identifier(text: str) -> str | None:
    """A paper's name as providers write it; None for anything else, such as an address.

    A version at the end of an arXiv id is dropped. What comes back can stand in the path of an address.
    """
    for prefix, pattern in _KNOWN:
        found = pattern.fullmatch(text.strip())
        if found and not {".", ".."}.intersection(found["id"].split("/")):
            return prefix + (found["id"] if prefix else found["id"].lower())
    return None


def clean_text(text: str) -> str:
    """The text without control characters, invisible ones and ligatures; line ends and tabs stay."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n").replace("\u2028", "\n").replace("\u2029", "\n")
    return _LIGATURES.sub(lambda found: unicodedata.normalize("NFKC", found[0]), _INVISIBLE.sub("", text))


def shortened(text: str, characters: int) -> str:
    """The text on one line, cut at a word where it is longer."""
    line = " ".join(text.split())
    if len(line) <= characters:
        return line
    start = line[:characters]
    return start[: start.rfind(" ")].rstrip() + " …" if " " in start else start + " …"
