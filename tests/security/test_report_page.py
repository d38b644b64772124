"""The report in a browser: it shows what it has, and what gets into it does nothing."""

from __future__ import annotations

import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from orchestrator.report.comparison import COMPARED
from orchestrator.report.front import CHART_STYLE
from orchestrator.report.html import STYLE, styled

from .conftest import Tally

BODY = (
    '<body><main><p class="banner" id="shown">hello</p><svg viewBox="0 0 2 2"><rect width="2" '
    'height="2" fill="#0a0"/></svg><img id="in" alt="" src="data:image/png;base64,iVBORw0KGgoAAAANS'
    'UhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=">{}</main></body>'
)


class Server:
    """Counts who asks it for something."""

    def __init__(self) -> None:
        asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.asked = asked
        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


def open_page(path: Path, profile: Path) -> tuple[str, str]:
    """Return the document as the browser has it after its scripts ran, and what it says."""
    done = subprocess.run(
        [
            "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
            f"--user-data-dir={profile}", "--virtual-time-budget=2000", "--dump-dom", str(path),
        ],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return done.stdout, done.stderr


@pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no browser here")
@pytest.mark.parametrize(
    "style", [STYLE, STYLE + CHART_STYLE, STYLE + COMPARED], ids=["report", "front", "compare"]
)
def test_nothing_that_gets_into_a_page_does_anything(
    style: str, tmp_path: Path, tally: Tally
) -> None:
    server = Server()
    title = "document.title += ' lost-%s'"
    attacks = {
        "script": f"<script>{title % 'script'}</script>",
        "handler": f"<img alt='' src='data:,' onerror=\"{title % 'handler'}\">",
        "svg": f'<svg onload="{title % "svg"}"></svg>',
        "far": f"<script src='{server.address}/far'></script>",
        "picture": f"<img alt='' src='{server.address}/picture'>",
        "style": f"<link rel=stylesheet href='{server.address}/style'>",
        "back": f"<style>p {{ background: url({server.address}/back) }}</style>",
        "frame": f"<iframe src='{server.address}/frame'></iframe>",
        "object": f"<object data='{server.address}/object'></object>",
        "address": f'<iframe src="javascript:parent.{title % "address"}"></iframe>',
    }
    head = f'<!doctype html><html lang="en"><head>{styled(style)}<title>right</title></head>'
    page = tmp_path / "page.html"
    page.write_text(f"{head}{BODY.format('')}</html>", encoding="utf-8")
    document, log = open_page(page, tmp_path / "profile")
    assert "hello" in document
    assert "Content Security Policy" not in log, "its own style and pictures are let in"
    body = BODY.format("".join(attacks.values()))
    page.write_text(f"{head}{body}</html>", encoding="utf-8")
    document, log = open_page(page, tmp_path / "profile")
    assert "Content Security Policy" in log
    for what in attacks:
        tally.held(what, f"/{what}" not in server.asked and f" lost-{what}" not in titled(document))
    if style == STYLE:
        page.write_text(f"<!doctype html><title>right</title>{body}", encoding="utf-8")
        document, _ = open_page(page, tmp_path / "profile")
        for what in attacks:
            done = f"/{what}" in server.asked or f" lost-{what}" in titled(document)
            assert done, f"{what}: without the policy it does what it wants"
    server.http.shutdown()
    server.http.server_close()


def titled(document: str) -> str:
    return document.partition("<title>")[2].partition("</title>")[0]
