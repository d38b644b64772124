"""A Docker engine of a few lines on a Unix socket: it answers as it is told, and remembers."""

from __future__ import annotations

import contextlib
import http.server
import json
import re
import socketserver
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION = {"ApiVersion": "1.43", "MinAPIVersion": "1.12", "Version": "24.0.7", "Components": []}
INFO = {"Architecture": "x86_64", "OperatingSystem": "Debian GNU/Linux 12", "NCPU": 2}


@dataclass
class FakeEngine:
    """``images`` are those that it has; ``answers`` replace what it says to a path (a pattern)."""

    images: dict[str, dict[str, Any]] = field(default_factory=dict)
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def answer(self, method: str, path: str) -> tuple[int, bytes]:
        for pattern, (status, body) in self.answers.items():
            if re.search(pattern, path):
                return status, body
        plain = re.sub(r"^/v[\d.]+", "", path.partition("?")[0])
        if plain == "/version":
            return 200, json.dumps(VERSION).encode()
        if plain == "/info":
            return 200, json.dumps(INFO).encode()
        if found := re.fullmatch(r"/images/(.+)/json", plain):
            image = self.images.get(found[1])
            if image is None:
                return 404, json.dumps({"message": f"No such image: {found[1]}"}).encode()
            return 200, json.dumps({"Id": f"sha256:{found[1]}", **image}).encode()
        if plain == "/build":
            tag = re.search(r"[?&]t=([^&]+)", path)
            assert tag is not None
            self.images[tag[1].replace("%3A", ":")] = {}
            return 200, b'{"stream": "Step 1/1 : FROM x"}\n{"stream": "Successfully built"}\n'
        return 200, b"{}" if method == "POST" else b"OK"

    def headers(self, path: str) -> dict[str, str]:
        """Return what came along with the last request whose path has ``path`` in it."""
        return next(h for _, p, h in reversed(self.asked) if path in p)


@contextlib.contextmanager
def serving(engine: FakeEngine, socket: Path) -> Iterator[str]:
    """Let an engine answer at a socket; yields its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def address_string(self) -> str:
            return "fake"

        def handle_one(self) -> None:
            with contextlib.suppress(OSError, ValueError):
                if "chunked" in self.headers.get("Transfer-Encoding", ""):
                    while size := int(self.rfile.readline() or b"0", 16):
                        self.rfile.read(size + 2)
                    self.rfile.readline()
                elif length := int(self.headers.get("Content-Length") or 0):
                    self.rfile.read(length)
            engine.asked.append((self.command, self.path, dict(self.headers)))
            status, body = engine.answer(self.command, self.path)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            stream = "/build" in self.path
            if stream:
                # The SDK reads a stream only where the engine says that it is one.
                self.send_header("Transfer-Encoding", "chunked")
                body = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
                body += b"0\r\n\r\n"
            else:
                self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = do_PUT = do_HEAD = handle_one

    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass

    server = Server(str(socket), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"unix://{socket}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
