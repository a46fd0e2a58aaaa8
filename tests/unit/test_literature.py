"""Literature as a service: what an agent is told, whatever the provider does."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from literature_harness import ATTENTION, CLOSED, asked, fill, literature, refused
from scholar_server import Reply, ScholarServer

from mlgym_lite.errors import LimitError
from mlgym_lite.services.papers import clean_text, paper_identifier, shortened
from mlgym_lite.services.semantic_scholar import ScholarLimits, SemanticScholar

pytest.importorskip("httpcore")
pypdf: Any = pytest.importorskip("pypdf")

KEY = "secret-key-0123456789"


class FakeTime:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def clock(self) -> float:
        return self.now


@pytest.fixture
def server() -> Iterator[ScholarServer]:
    """A server with three papers, the PDF of one and the arXiv PDF of another."""
    with ScholarServer() as server:
        fill(server)
        yield server


# Searching


def test_a_search_tells_what_an_agent_needs_of_each_paper(server: ScholarServer) -> None:
    """A result has number, title, year, ids, first authors, venue, citations, whether it can be read, and a short abstract."""
    text = asked(literature(server), "literature_search", "attention")
    assert text.startswith(f"1. Attention Is All You Need (2017)\n   ID: {ATTENTION}, ARXIV:1706.03762, DOI:10.5555/3295222\n")
    assert "A. One, B. Two, C. Three et al.; NeurIPS; 100000 citations\n   full text: yes\n   The dominant models" in text
    assert "…" in text and len(text) < 1200 and "\x1b" not in text
    assert "read_paper ID" in text


def test_a_record_full_of_gaps_is_told_as_well(server: ScholarServer) -> None:
    """A paper without year, authors, venue, citations and abstract is a result still, and None is never shown."""
    text = asked(literature(server), "literature_search", "residual")
    assert "Deep Residual Learning" in text and "None" not in text and "(no abstract)" in text


def test_words_may_be_quoted_or_not_and_a_number_last_is_the_count(server: ScholarServer) -> None:
    """The words are joined; the count bounds the results; a quoted number belongs to the words."""
    service = literature(server)
    for arguments in (("deep", "residual", "learning", "2"), ("deep residual learning", "2")):
        asked(service, "literature_search", *arguments)
        assert server.requests[-1].query["query"] == "deep residual learning"
        assert server.requests[-1].query["limit"] == "2"
    asked(service, "literature_search", "resnet 50")
    assert (server.requests[-1].query["query"], server.requests[-1].query["limit"]) == ("resnet 50", "5")


def test_hyphens_are_left_out_of_the_words(server: ScholarServer) -> None:
    """Semantic Scholar finds nothing for a word with a hyphen, so it is asked without."""
    assert "Deep Residual" in asked(literature(server), "literature_search", "state-of-the-art")


def test_no_result_says_how_to_ask_better(server: ScholarServer) -> None:
    """Finding nothing is an answer, not a failure."""
    assert "fewer" in asked(literature(server), "literature_search", "nothing of this kind")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "expected words"),
        (("  ",), "expected words"),
        (("--help",), "Usage: literature_search QUERY [COUNT]"),
        (("attention", "0"), "1 to 20, not 0"),
        (("attention", "50"), "1 to 20, not 50"),
        (("word " * 100,), "more than 300"),
    ],
)
def test_a_mistaken_search_is_told_what_was_expected(server: ScholarServer, arguments: Sequence[str], told: str) -> None:
    """A mistake is answered with what was expected, and nobody is asked."""
    assert told in refused(literature(server), "literature_search", *arguments)
    assert server.requests == []


def test_an_unknown_command_is_answered(server: ScholarServer) -> None:
    """The service names its commands."""
    assert "literature_search" in refused(literature(server), "fetch", "x")


# Reading


def test_reading_gives_the_text_of_the_pdf(server: ScholarServer) -> None:
    """The whole way: record, arXiv's PDF, a process that reads it, a page."""
    text = asked(literature(server), "read_paper", ATTENTION)
    assert text.startswith("Attention Is All You Need (2017)")
    assert "Attention weighs what it is told.\nThe end of it all, at last." in text and text.endswith("[page 1 of 1]")


@pytest.mark.parametrize("name", ["ARXIV:1706.03762", "arXiv:1706.03762v5", "1706.03762"])
def test_a_paper_may_be_named_as_arxiv_does(server: ScholarServer, name: str) -> None:
    """An arXiv id is enough, with or without prefix and version."""
    assert "weighs" in asked(literature(server, reader=lambda content: "it weighs"), "read_paper", name)
    assert server.paths[0] == "/graph/v1/paper/ARXIV:1706.03762"


def test_a_long_text_comes_in_pages_and_is_fetched_once(server: ScholarServer) -> None:
    """Pages join to the text, end at line ends, say how to go on, and cost one fetch."""
    lines = [f"line {number} of a long paper" for number in range(2000)]
    service = literature(server, reader=lambda content: "\n".join(lines))
    seen: list[str] = []
    for page in range(1, 6):
        text = asked(service, "read_paper", ATTENTION, str(page))
        body, foot = text.split("\n\n", 1)[1].rsplit("\n\n", 1)
        seen += [line for line in body.split("\n") if line.startswith("line ")]
        assert len(text) < 13_000
        assert foot == (f"[page {page} of 5; `read_paper {ATTENTION} {page + 1}` goes on]" if page < 5 else "[page 5 of 5]")
    assert seen == lines
    assert server.paths == [f"/graph/v1/paper/{ATTENTION}", "/arxiv/1706.03762"]
    assert "5 pages, so there is no page 6" in refused(service, "read_paper", ATTENTION, "6")


def test_another_name_of_a_kept_paper_fetches_no_pdf_again(server: ScholarServer) -> None:
    """The record tells that it is the same paper."""
    service = literature(server, reader=lambda content: "text")
    asked(service, "read_paper", ATTENTION)
    asked(service, "read_paper", "ARXIV:1706.03762")
    assert server.paths.count("/arxiv/1706.03762") == 1


def test_only_the_last_papers_are_kept(server: ScholarServer) -> None:
    """After eight others, and after the end of the episode, a paper is fetched anew."""
    server.records += [
        {"paperId": f"{number:040x}", "title": "x", "openAccessPdf": {"url": f"{server.url}/residual.pdf"}} for number in range(8)
    ]
    service = literature(server, reader=lambda content: "text")
    for identifier in [ATTENTION, *(f"{number:040x}" for number in range(8)), ATTENTION]:
        asked(service, "read_paper", identifier)
    assert server.paths.count("/arxiv/1706.03762") == 2
    service.close()
    service.close()
    asked(service, "read_paper", ATTENTION)
    assert server.paths.count("/arxiv/1706.03762") == 3


def test_without_a_pdf_there_is_the_abstract_and_the_reason(server: ScholarServer) -> None:
    """A paper that is not free to read is answered with what its record says."""
    text = asked(literature(server), "read_paper", CLOSED)
    assert "[No full text: Semantic Scholar knows no PDF of it that is free to read.]" in text
    assert "Abstract: Nobody may read" in text and "In one sentence: It is closed." in text


def test_an_unknown_paper_is_said_to_be_unknown(server: ScholarServer) -> None:
    """A name of the right form that Semantic Scholar does not have."""
    assert "has no paper ARXIV:2999.00001" in refused(literature(server), "read_paper", "arxiv:2999.00001")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "Usage: read_paper ID [PAGE]"),
        (("a", "b", "c"), "Usage: read_paper ID [PAGE]"),
        ((ATTENTION, "two"), "PAGE is a number from 1"),
        ((ATTENTION, "0"), "PAGE is a number from 1"),
        ((ATTENTION, "-1"), "PAGE is a number from 1"),
        (("attention is all you need",), "is no ID; expected a Semantic Scholar id"),
    ],
)
def test_a_mistaken_reading_is_told_what_was_expected(server: ScholarServer, arguments: Sequence[str], told: str) -> None:
    """A mistake is answered with what was expected, and nobody is asked."""
    assert told in refused(literature(server), "read_paper", *arguments)
    assert server.requests == []


# Names of papers


@pytest.mark.parametrize(
    ("text", "identifier"),
    [
        ("AB" * 20, "ab" * 20),
        ("corpusid:215416146", "CorpusId:215416146"),
        ("arXiv:2106.15928v2", "ARXIV:2106.15928"),
        ("cs.LG/0701001", "ARXIV:cs.LG/0701001"),
        ("10.18653/v1/N18-3011", "DOI:10.18653/v1/N18-3011"),
        ("DOI:10.1016/S0022(05)80360-2", "DOI:10.1016/S0022(05)80360-2"),
        ("PMID:19872477", "PMID:19872477"),
        ("acl:2020.acl-main.447", "ACL:2020.acl-main.447"),
    ],
)
def test_names_of_papers_are_written_in_one_way(text: str, identifier: str) -> None:
    """Each kind of name that providers know."""
    assert paper_identifier(text) == identifier


@pytest.mark.parametrize(
    "text",
    [
        "", "URL:https://arxiv.org/abs/2106.15928", "https://127.0.0.1/x.pdf", "file:///etc/passwd", "../author/1", "a" * 39,
        "DOI:10.1000/../../author/1", "DOI:10.1000/x?fields=y", "DOI:10.1000/x#y", "DOI:10.1000/x%2f..", "DOI:10.1000/a b",
        "ARXIV:2106.15928/../x", "ACL:../x", "MAG:112218234", "CorpusId:1\nX-Evil: 1", "PMID:١٢",
    ],
)  # fmt: skip
def test_what_is_no_name_of_a_paper_is_refused(text: str) -> None:
    """Addresses, ways out of the path, queries and line ends name no paper."""
    assert paper_identifier(text) is None


def test_texts_are_cleaned_and_shortened() -> None:
    """Control characters, invisible ones and half characters go; ligatures are letters; a cut is at a word and marked."""
    assert clean_text("a\x00\x1b[1m\u202eb\ud800\U000e0041c\r\nd\te\ufb01t") == "a[1mbc\nd\tefit"
    assert shortened("one two\n three", 40) == "one two three"
    assert shortened("one two three", 9) == "one two …"


# The provider's moods


def test_too_many_requests_is_asked_again_as_the_server_says(server: ScholarServer) -> None:
    """429 with Retry-After, then 503, then the answer."""
    server.replies = [Reply(status=429, headers={"Retry-After": "3"}), Reply(status=503)]
    watch = FakeTime()
    service = literature(server, sleep=watch.sleep, clock=watch.clock, limits=ScholarLimits())
    assert "Attention" in asked(service, "literature_search", "attention")
    assert watch.pauses == [3.0, 2.0] and len(server.requests) == 3


def test_a_server_that_stays_busy_is_given_up_within_the_time(server: ScholarServer) -> None:
    """500 for good ends in words after a bounded time and a bounded number of questions."""
    server.replies = [Reply(status=500, body=b"<html>") for _ in range(50)]
    watch = FakeTime()
    limits = ScholarLimits()
    text = refused(literature(server, sleep=watch.sleep, clock=watch.clock, limits=limits), "literature_search", "attention")
    assert "busy or out of reach (status 500); try again later" in text
    assert len(server.requests) == limits.attempts and watch.now <= limits.seconds


def test_a_wait_longer_than_the_time_left_is_passed_on(server: ScholarServer) -> None:
    """Retry-After: 600 is told to the agent at once, not waited for; an unreadable one is ignored."""
    server.replies = [Reply(status=429, headers={"Retry-After": "600"})]
    watch = FakeTime()
    text = refused(literature(server, sleep=watch.sleep, clock=watch.clock), "literature_search", "attention")
    assert "try again in 600 s" in text and watch.pauses == []
    server.replies = [Reply(status=429, headers={"Retry-After": "soon"})]
    asked(literature(server, sleep=watch.sleep, clock=watch.clock), "literature_search", "attention")
    assert watch.pauses == [1.0]


def test_a_server_out_of_reach_is_told_in_words(server: ScholarServer) -> None:
    """Nobody listens there."""
    with ScholarServer() as gone:
        pass
    watch = FakeTime()
    text = refused(literature(gone, sleep=watch.sleep, clock=watch.clock), "literature_search", "attention")
    assert "out of reach" in text and "127.0.0.1" not in text and len(watch.pauses) > 1


def test_a_slow_answer_ends_at_the_limit(server: ScholarServer) -> None:
    """Whether nothing comes or a byte now and then, one answer's time bounds it."""
    limits = ScholarLimits(seconds=0.6, answer_seconds=0.25)
    for slow in (Reply(wait_seconds=5.0), Reply(piece_seconds=0.1)):
        server.replies = [slow] * 5
        begun = time.monotonic()
        text = refused(literature(server, limits=limits, sleep=lambda seconds: None), "literature_search", "attention")
        assert "did not answer within" in text and time.monotonic() - begun < 2.0


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply(body=b'{"data": [{"pap'), "no usual answer"),
        (Reply(body=b"[]"), "no usual answer"),
        (Reply(body=b"[" * 100_000), "no usual answer"),
        (Reply(body=b'{"data": "none"}'), "something else than papers"),
        (Reply(status=404), "something else than papers"),
        (Reply(status=301, headers={"Location": "http://169.254.169.254/"}), "status 301"),
        (
            Reply(status=400, body=b'{"error": "Unacceptable query params: [x=y]"}'),
            "(status 400): Unacceptable query",
        ),
        (Reply(status=403, body=b'{"message": "Forbidden"}'), "go on without literature"),
        (Reply(body=b"{}" + b" " * 300_000), "larger than 0.2 MB"),
        (Reply(body=b" " * 65536, endless=True), "larger than 0.2 MB"),
        (Reply(body=zlib.compress(b"{}"), headers={"Content-Encoding": "deflate"}), "packed"),
    ],
)
def test_an_unusable_answer_is_told_in_words(server: ScholarServer, reply: Reply, told: str) -> None:
    """Broken, strange, refused, redirected, huge, endless and packed answers; each is asked for once."""
    server.replies = [reply]
    assert told in refused(literature(server), "literature_search", "attention")
    assert len(server.requests) == 1


def test_strange_records_are_left_out_or_made_sense_of(server: ScholarServer) -> None:
    """Values of the wrong type count as missing; what has no id is no paper."""
    strange = (
        '{"paperId": "%s", "title": {"a": 1}, "year": "1", "authors": [1, {"name": 3}], "citationCount": 1e400,'
        ' "externalIds": [], "openAccessPdf": {"url": "file:///etc/passwd"}}'
    )
    server.replies = [Reply(body=f'{{"data": [1, {{"paperId": "../x"}}, {strange % ("d" * 40)}]}}'.encode())]
    text = asked(literature(server), "literature_search", "x")
    assert text.startswith(f"1. (no title)\n   ID: {'d' * 40}\n") and "full text: no" in text and "2. " not in text


def test_a_failure_of_the_service_itself_is_words_too(server: ScholarServer, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing raises out of an answer; the engine's log has the reason."""

    def reader(content: bytes) -> str:
        raise ZeroDivisionError

    assert "failed in the engine" in refused(literature(server, reader=reader), "read_paper", ATTENTION)
    assert "ZeroDivisionError" in caplog.text


# The key


@pytest.mark.parametrize("variable", ["SEMANTIC_SCHOLAR_API_KEY", "S2_API_KEY"])
def test_the_key_goes_to_semantic_scholar_and_nowhere_else(
    server: ScholarServer, variable: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is in the header of questions, not of PDFs, and neither logged nor shown, even where the server repeats it."""
    service = literature(server, environment={variable: f" {KEY}\n"}, reader=lambda content: "text")
    with caplog.at_level(logging.DEBUG):
        asked(service, "read_paper", ATTENTION)
        server.replies = [Reply(status=400, body=f'{{"error": "bad key {KEY}"}}'.encode())]
        assert "bad key …" in refused(service, "literature_search", "x")
    keys = [{name.lower(): value for name, value in request.headers.items()}.get("x-api-key") for request in server.requests]
    assert keys == [KEY, None, KEY]
    assert KEY not in caplog.text


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"environment": {"S2_API_KEY": "two words"}}, "S2_API_KEY"),
        ({"base_url": "api.semanticscholar.org"}, "expected something like https://"),
        ({"base_url": "https://key@host"}, "expected something like https://"),
        ({"own_hosts": ("http://mirror/",)}, "expected a host such as"),
    ],
)
def test_wrong_settings_are_found_at_once(setting: dict[str, Any], told: str) -> None:
    """A key that cannot be one, an address that is none, a network that is none."""
    with pytest.raises(LimitError, match=told) as caught:
        SemanticScholar(**{"environment": {}, **setting})
    assert "two words" not in str(caught.value)


# What an import costs


def test_nothing_heavy_is_loaded_before_the_first_call() -> None:
    """Service and provider are made without httpcore, pypdf, tenacity or pydantic."""
    program = (
        "import sys\nfrom mlgym_lite.services.literature import LiteratureService\n"
        "from mlgym_lite.services.semantic_scholar import SemanticScholar\n"
        "LiteratureService(SemanticScholar(environment={}))\nprint(*sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(result.stdout.split()).isdisjoint({"httpcore", "httpx", "pypdf", "tenacity", "pydantic", "numpy", "ssl"})
