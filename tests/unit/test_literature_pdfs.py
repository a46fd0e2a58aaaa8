"""PDFs for the literature service: where they may come from, and what reading them can do."""

from __future__ import annotations

import io
import shutil
import ssl
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from literature_harness import RESIDUAL, asked, fill, literature, pdf_of, scholar_at
from scholar_server import Reply, ScholarServer

from mlgym_lite.processes import run_filter
from mlgym_lite.services import pdf_reader
from mlgym_lite.services.paper_text import ReadingLimits, paper_text
from mlgym_lite.services.papers import LiteratureError, Paper
from mlgym_lite.services.semantic_scholar import ScholarLimits

pytest.importorskip("httpcore")
pypdf: Any = pytest.importorskip("pypdf")


@pytest.fixture
def server() -> Iterator[ScholarServer]:
    """A server with three papers, the PDF of one and the arXiv PDF of another."""
    with ScholarServer() as server:
        fill(server)
        yield server


# Fetching PDFs


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("8.8.8.8", True), ("2606:4700:4700::1111", True), ("64:ff9b::808:808", True), ("127.0.0.1", False), ("10.1.2.3", False),
        ("169.254.169.254", False), ("100.64.0.1", False), ("0.0.0.0", False), ("224.0.1.1", False), ("240.0.0.1", False),
        ("::1", False), ("fe80::1%lo", False), ("fd00::1", False), ("::ffff:127.0.0.1", False), ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False), ("2001:0:7f00:1::", False), ("localhost", False),
    ],
)  # fmt: skip
def test_only_public_addresses_and_hosts_that_were_listed_are_connected_to(address: str, allowed: bool) -> None:
    """Private, local, reserved and multicast ones are not public, nor are they when IPv6 wraps them."""
    from mlgym_lite.config.allowed_hosts import parse_allowed_host
    from mlgym_lite.services.guarded_http import may_connect

    assert may_connect("papers.example", 443, address, ()) is allowed
    own = (parse_allowed_host("local:mirror.example:8080"),)
    assert may_connect("papers.example", 8080, address, own) is allowed
    assert may_connect("mirror.example", 8080, "10.1.2.3", own) and not may_connect("mirror.example", 80, "10.1.2.3", own)


def test_a_pdf_on_a_private_address_is_refused(server: ScholarServer) -> None:
    """Without a network of one's own, a record that points at the host gets no connection."""
    text = asked(literature(server, own_hosts=()), "read_paper", RESIDUAL)
    assert "[No full text: its PDF cannot be had: its server is not on the public internet.]" in text
    assert "Layers learn what is left." in text and "/residual.pdf" not in server.paths


@pytest.mark.parametrize("host", ["127.0.0.2", "[::ffff:127.0.0.2]", "2130706434", "0x7f.2", "localhost", "internal.example"])
def test_a_redirect_to_a_private_address_is_refused(server: ScholarServer, host: str) -> None:
    """However the address is written, the second server is never asked."""
    from mlgym_lite.services.guarded_http import resolve

    def resolver(name: str, port: int) -> Sequence[str]:
        known = {"internal.example": ["127.0.0.2"], "localhost": ["::1", "127.0.0.1"]}
        return known.get(name) or resolve(name, port)

    with ScholarServer(host="127.0.0.2") as inner:
        inner.files["/x.pdf"] = Reply(body=pdf_of("secret"))
        server.files["/residual.pdf"] = Reply(status=302, headers={"Location": f"http://{host}:{inner.port}/x.pdf"})
        text = asked(literature(server, resolver=resolver), "read_paper", RESIDUAL)
        assert "not on the public internet" in text or "malformed" in text
        assert inner.requests == []


def test_one_private_address_among_public_ones_is_enough_to_refuse(server: ScholarServer) -> None:
    """A name with a public and a private address gets no connection at all."""
    scholar = scholar_at(server, own_hosts=(), resolver=lambda name, port: ["8.8.8.8", "127.0.0.1"])
    address = f"http://papers.example:{server.port}/residual.pdf"
    with pytest.raises(LiteratureError, match="not on the public internet"):
        scholar.full_text(Paper(identifier=RESIDUAL, title="x", pdf_addresses=(address,)))
    assert server.requests == []


def test_a_name_is_resolved_once_and_the_checked_address_is_connected_to(server: ScholarServer) -> None:
    """A name that answers differently the second time is never asked a second time."""
    answers = iter([["127.0.0.1"], ["127.0.0.2"]])
    scholar = scholar_at(server, resolver=lambda name, port: next(answers))
    address = f"http://papers.example:{server.port}/residual.pdf"
    content = scholar.full_text(Paper(identifier=RESIDUAL, title="x", pdf_addresses=(address,)))
    assert content.startswith(b"%PDF") and next(answers) == ["127.0.0.2"]
    assert server.requests[0].headers["Host"] == f"papers.example:{server.port}"


def test_a_certificate_is_checked_against_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection goes to an address, but the certificate must be the name's, and of somebody who is trusted."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed here")
    paths = ["-keyout", tmp_path / "key.pem", "-out", tmp_path / "certificate.pem"]
    names = ["-subj", "/CN=papers.example", "-addext", "subjectAltName=DNS:papers.example"]
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    subprocess.run(["openssl", "req", *kind, *paths, *names], check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    with ScholarServer(tls=context) as server:
        server.files["/x.pdf"] = Reply(body=pdf_of("x"))
        own = [f"local:{name}.example:{server.port}" for name in ("papers", "others")]
        scholar = scholar_at(server, own_hosts=own, resolver=lambda name, port: ["127.0.0.1"])

        def fetched(host: str) -> bytes:
            address = f"https://{host}:{server.port}/x.pdf"
            return scholar.full_text(Paper(identifier=RESIDUAL, title="x", pdf_addresses=(address,)))

        with pytest.raises(LiteratureError, match="cannot be reached"):
            fetched("papers.example")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        assert fetched("papers.example").startswith(b"%PDF")
        with pytest.raises(LiteratureError, match="cannot be reached"):
            fetched("others.example")


def test_a_slow_resolver_is_not_waited_for(server: ScholarServer) -> None:
    """The time of a fetch bounds the look-up too."""
    scholar = scholar_at(server, limits=ScholarLimits(seconds=0.2), resolver=lambda name, port: [str(server.stopping.wait(3))])
    begun = time.monotonic()
    with pytest.raises(LiteratureError, match="cannot be reached"):
        scholar.full_text(Paper(identifier=RESIDUAL, title="x", pdf_addresses=("http://papers.example/x",)))
    assert time.monotonic() - begun < 2.0


def test_redirects_are_followed_as_far_as_five(server: ScholarServer) -> None:
    """Five are, relative ones too; the sixth is not, and neither is a loop."""
    for number in range(1, 6):
        server.files[f"/r{number}"] = Reply(status=302, headers={"Location": f"r{number - 1}"})
    server.files["/r0"] = server.files["/residual.pdf"]
    server.files["/residual.pdf"] = Reply(status=301, headers={"Location": f"{server.url}/r4"})
    service = literature(server, reader=lambda content: content[:4].decode())
    assert "%PDF" in asked(service, "read_paper", RESIDUAL)
    server.files["/residual.pdf"] = Reply(status=301, headers={"Location": f"{server.url}/r5"})
    assert "more than 5 redirects" in asked(literature(server), "read_paper", RESIDUAL)
    server.files["/residual.pdf"] = Reply(status=307, headers={"Location": "/residual.pdf"})
    server.requests.clear()
    assert "more than 5 redirects" in asked(literature(server), "read_paper", RESIDUAL)
    assert server.paths.count("/residual.pdf") == 6


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply(body=b"<html>a page about the paper"), "sent no PDF"),
        (Reply(status=404), "status 404"),
        (Reply(status=302, headers={"Location": "file:///etc/passwd"}), "not a plain http or https one"),
        (Reply(status=302, headers={"Location": "http://[x/"}), "malformed"),
        (Reply(status=302, headers={"Location": "http://me:you@example.org/"}), "not a plain http or https one"),
        (Reply(status=302, headers={"Location": "http://" + "a" * 70 + ".org/"}), "malformed"),
        (Reply(body=b"%PDF", headers={"Content-Length": "999999999999"}), "larger than 0.2 MB"),
        (Reply(body=b"%PDF" * 10_000, endless=True), "larger than 0.2 MB"),
        (Reply(status=302, headers={"Location": "/x"}, body=b"x" * 65536, endless=True), "status 404"),
        (Reply(body=b"%PDF", headers={"Content-Length": "10"}), "broke off"),
        (Reply(body=b"%PDF", headers={"Content-Encoding": "gzip"}), "packed"),
        (Reply(piece_seconds=0.1), "did not answer within"),
    ],
)
def test_what_is_no_pdf_within_limits_is_left_and_the_abstract_told(server: ScholarServer, reply: Reply, told: str) -> None:
    """Pages, missing files, other schemes, huge, endless, cut and slow ones; the agent gets the record with the reason."""
    server.files["/residual.pdf"] = reply
    limits = ScholarLimits(seconds=0.5 if reply.piece_seconds else 5.0, answer_seconds=5.0, pdf_bytes=200_000)
    text = asked(literature(server, limits=limits), "read_paper", RESIDUAL)
    assert "[No full text: its PDF cannot be had:" in text and told in text and "Layers learn" in text


def test_a_second_address_helps_where_the_first_fails(server: ScholarServer) -> None:
    """arXiv has it not, the open-access address has; and what failed once is tried again next time."""
    server.records[1]["externalIds"] = {"ArXiv": "1512.03385"}
    found, server.files["/residual.pdf"] = server.files["/residual.pdf"], Reply(status=503)
    service = literature(server, reader=lambda content: "the text of it")
    assert "[No full text: its PDF cannot be had: its server answered with status 404" in asked(service, "read_paper", RESIDUAL)
    server.files["/residual.pdf"] = found
    assert "the text of it" in asked(service, "read_paper", RESIDUAL)


# Reading PDFs


def test_a_paper_of_several_pages_is_read_in_order() -> None:
    """Each page of the PDF follows the one before."""
    read = paper_text(pdf_of(*(f"This is page {number} of a paper" for number in range(3))))
    assert read.complete
    assert [line for line in read.text.split("\n") if line] == [f"This is page {number} of a paper" for number in range(3)]


def _locked() -> bytes:
    writer = pypdf.PdfWriter(io.BytesIO(pdf_of("Nobody reads this without the word.")))
    writer.encrypt("word", algorithm="RC4-128")
    made = io.BytesIO()
    writer.write(made)
    return made.getvalue()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (lambda: b"%PDF-1.4\nnot much more", "broken"),
        (lambda: pdf_of("A page that ends too early.")[:-300], "broken"),
        (lambda: pdf_of(""), "only pictures"),
        (_locked, "locked with a password"),
    ],
)
def test_an_unreadable_pdf_says_why(content: Callable[[], bytes], told: str) -> None:
    """Broken ones, pictures and locked ones."""
    with pytest.raises(LiteratureError, match=told):
        paper_text(content())


def test_a_pdf_that_unpacks_to_very_much_runs_into_the_memory_limit() -> None:
    """60 MB in one stream, where 100 MB are allowed in all, end in words."""
    packed = zlib.compress(b"(bomb) Tj\n" * 6_000_000, 1)
    with pytest.raises(LiteratureError, match="more time or memory"):
        paper_text(pdf_of("x", stream=packed), ReadingLimits(memory_bytes=100 << 20))


def test_a_pdf_that_takes_too_long_runs_into_the_time_limit() -> None:
    """Both the processor's time and the clock's end it."""
    packed = zlib.compress(b"BT (bomb) Tj ET\n" * 1_000_000, 9)
    for limits in (ReadingLimits(processor_seconds=1), ReadingLimits(seconds=0.6)):
        begun = time.monotonic()
        with pytest.raises(LiteratureError, match="more time or memory"):
            paper_text(pdf_of("x", stream=packed), limits)
        assert time.monotonic() - begun < 5.0


def test_text_beyond_the_limit_is_cut_and_said_to_be(server: ScholarServer) -> None:
    """What was read until then is kept."""
    read = paper_text(pdf_of(*["The same line on every page of it."] * 20), ReadingLimits(most_bytes=200))
    assert not read.complete and read.text.startswith("The same line") and len(read.text) <= 200
    service = literature(server, reader=None)
    server.files["/residual.pdf"] = Reply(body=pdf_of(*[("word " * 200).strip()] * 3))
    assert "word word" in asked(service, "read_paper", RESIDUAL)


def test_the_reader_can_open_neither_files_nor_sockets(tmp_path: Path) -> None:
    """Once it reads, a PDF that took it over would find nothing to open and no environment."""
    program = (
        f"import sys, os\nsys.path.insert(0, {str(Path(pdf_reader.__file__).parent)!r})\nimport pdf_reader, socket\n"
        "status = pdf_reader.main(1 << 30, 20, 100000)\n"
        "for opening in (lambda: open('/etc/passwd'), socket.socket, lambda: open('/tmp/x', 'w')):\n"
        "    try:\n        opening()\n        print('opened')\n    except OSError as error:\n        print(error.errno)\n"
        "print(status, len([name for name in os.environ if name != 'LC_CTYPE']))\n"
    )
    result = run_filter(
        [sys.executable, "-I", "-c", program], pdf_of("hello"), environment={}, timeout_seconds=20, most_bytes=1000
    )
    assert result.output.decode().split("\f")[-1].split() == ["24", "24", "24", "0", "0"]


def test_a_filter_is_ended_with_what_it_started(tmp_path: Path) -> None:
    """At the time-out the whole group goes, and what it wrote is cut at the limit."""
    script = "cat; (sleep 60; echo late) & sleep 60"
    begun = time.monotonic()
    result = run_filter(["/bin/sh", "-c", script], b"x" * 100, environment={}, timeout_seconds=0.3, most_bytes=10)
    assert (result.status, result.output) == (-9, b"x" * 10) and time.monotonic() - begun < 5.0
