"""The server: loopback only, built again on change, closed to other sites' pages."""

import http.client
import os
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from reports.serve import LOOPBACK, Builder, make_server


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "results/machine/run.json"
    file.parent.mkdir(parents=True)
    file.write_text("1", encoding="utf-8")
    return file


@pytest.fixture
def server(source: Path, tmp_path: Path) -> Iterator[ThreadingHTTPServer]:
    site = tmp_path / "site"
    site.mkdir()

    def build() -> None:
        text = source.read_text(encoding="utf-8")
        if text == "bad":
            raise ValueError("it is bad")
        (site / "index.html").write_text(f"built from {text}", encoding="utf-8")

    made = make_server(site, Builder(build, [tmp_path / "results"]), 0)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def _get(server: ThreadingHTTPServer, path: str, host: str | None = None) -> tuple[int, str]:
    with closing(http.client.HTTPConnection(LOOPBACK, server.server_port, timeout=20)) as to:
        to.request("GET", path, headers={"Host": host} if host else {})
        answer = to.getresponse()
        return answer.status, answer.read().decode()


def test_it_listens_on_loopback_only(server: ThreadingHTTPServer) -> None:
    assert server.server_address[0] == "127.0.0.1"


def test_a_page_is_built_again_when_a_result_has_changed(
    server: ThreadingHTTPServer, source: Path
) -> None:
    assert _get(server, "/") == (200, "built from 1")
    source.write_text("two", encoding="utf-8")
    assert _get(server, "/index.html") == (200, "built from two")
    source.write_text("bad", encoding="utf-8")
    os.utime(source)
    status, text = _get(server, "/")
    assert (status, "it is bad" in text) == (500, True)
    source.write_text("three", encoding="utf-8")
    assert _get(server, "/") == (200, "built from three"), "an error does not end the server"


def test_it_answers_to_no_other_name_and_leaves_the_site(server: ThreadingHTTPServer) -> None:
    assert _get(server, "/", host="example.org")[0] == 403
    assert _get(server, "/../results/machine/run.json")[0] == 404
