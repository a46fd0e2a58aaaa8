"""Three papers, PDFs made by hand, and a literature service that asks a server of the test's own."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

from scholar_server import Reply, ScholarServer

from mlgym_lite.services.literature import LiteratureService
from mlgym_lite.services.semantic_scholar import ScholarLimits, SemanticScholar

ATTENTION, RESIDUAL, CLOSED = (digit * 40 for digit in "abc")


def records(server: ScholarServer) -> list[dict[str, Any]]:
    """The records of the three."""
    return [
        {
            "paperId": ATTENTION,
            "title": "Attention Is All You Need",
            "abstract": "The dominant models are based on recurrent networks.\x1b[31m " + "We go on. " * 200,
            "year": 2017,
            "authors": [{"authorId": "1", "name": name} for name in ("A. One", "B. Two", "C. Three", "D. Four")],
            "venue": "NeurIPS",
            "citationCount": 100000,
            "externalIds": {"ArXiv": "1706.03762", "DOI": "10.5555/3295222", "CorpusId": 13756489},
            "openAccessPdf": {"url": "", "status": None},
            "tldr": {"model": "tldr@v2.0.0", "text": "A network of attention alone."},
        },
        {
            "paperId": RESIDUAL,
            "title": "Deep Residual Learning, with state of the art",
            "abstract": None,
            "year": None,
            "authors": [],
            "venue": "",
            "citationCount": None,
            "externalIds": None,
            "openAccessPdf": {"url": f"{server.url}/residual.pdf", "status": "GREEN"},
            "tldr": {"model": "tldr@v2.0.0", "text": "Layers learn what is left."},
        },
        {
            "paperId": CLOSED,
            "title": "A Closed Paper",
            "abstract": "Nobody may read more than this.",
            "year": 1999,
            "authors": [{"authorId": None, "name": "E. Five"}],
            "venue": "Journal of Walls",
            "citationCount": 1,
            "externalIds": {"DOI": "10.1000/closed"},
            "openAccessPdf": None,
            "tldr": {"model": "tldr@v2.0.0", "text": "It is closed."},
        },
    ]


def pdf_of(*pages: str, stream: bytes | None = None) -> bytes:
    """A PDF by hand, a text a page; `stream` is a packed stream for every page instead."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"", b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    kids = []
    for page in pages:
        lines = "".join(f"({line}) Tj 0 -12 Td\n" for line in page.split("\n"))
        content = stream or zlib.compress(f"BT /F1 10 Tf 50 800 Td\n{lines}ET".encode("latin-1"))
        objects.append(b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(content), content))
        number = len(objects)
        holds = b"/Contents %d 0 R /Resources << /Font << /F1 3 0 R >> >>" % number
        objects.append(b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 850] %s >>" % holds)
        kids.append(b"%d 0 R" % (number + 1))
    objects[1] = b"<< /Type /Pages /Count %d /Kids [ %s ] >>" % (len(kids), b" ".join(kids))
    made, places = bytearray(b"%PDF-1.4\n"), []
    for number, content in enumerate(objects, 1):
        places.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"xref\n0 %d\n0000000000 65535 f \n%strailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
    return bytes(made) + end % (len(places) + 1, table, len(places) + 1, len(made))


def scholar_at(server: ScholarServer, **changes: Any) -> SemanticScholar:
    """The provider, asking that server alone."""
    settings = {
        "environment": {},
        "base_url": server.url,
        "arxiv_url": f"{server.url}/arxiv/",
        "own_hosts": (f"127.0.0.1:{server.port}", f"local:papers.example:{server.port}"),
        "limits": ScholarLimits(seconds=5.0, answer_seconds=5.0, answer_bytes=200_000, pdf_bytes=200_000),
    }
    return SemanticScholar(**{**settings, **changes})


def literature(server: ScholarServer, *, reader: Callable[[bytes], str] | None = None, **changes: Any) -> LiteratureService:
    """The service, with a reader of PDFs in its place if one is given."""
    return LiteratureService(scholar_at(server, **changes), paper_text=reader)


def asked(service: LiteratureService, command: str, *arguments: str) -> str:
    """What the agent is told where all is well."""
    answer = service.answer(command, arguments, b"")
    assert answer.ok, answer.text
    return answer.text


def refused(service: LiteratureService, command: str, *arguments: str) -> str:
    """What the agent is told where it is not."""
    answer = service.answer(command, arguments, b"")
    assert not answer.ok, answer.text
    return answer.text


def fill(server: ScholarServer) -> None:
    """Give the server the three papers, the PDF of one and the arXiv PDF of another."""
    server.records = records(server)
    server.files["/arxiv/1706.03762"] = Reply(body=pdf_of("Attention weighs what it is told.\nThe end of it all, at last."))
    server.files["/residual.pdf"] = Reply(body=pdf_of("What is left is learned."))
