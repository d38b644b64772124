"""A page on the local network that shows the camera with the answers, also on a phone.

The address carries a token; without it nothing is given. The page needs nothing from elsewhere.
"""

from __future__ import annotations

import hmac
import io
import json
import secrets
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Callable, Optional
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from hailo_answers import State

#: Phones that may look at a time; each has a thread.
VIEWERS = 8

#: Seconds for which a viewer waits for a picture before its connection is closed.
SILENCE = 20.0

QUALITY = 80

BOUNDARY = "hefsmith-frame"

POLICY = (
    "default-src 'none'; img-src 'self'; connect-src 'self'; style-src 'nonce-{0}'; "
    "script-src 'nonce-{0}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>@TITLE@</title>
<style nonce="@NONCE@">
 body { margin: 0; background: #111; color: #eee; font: 16px/1.4 system-ui, sans-serif }
 header, ul { padding: 8px 12px; margin: 0 }
 h1 { font-size: 18px; margin: 0; display: inline }
 #rate { color: #9ad; margin-left: 8px }
 img { display: block; width: 100%; max-height: 78vh; object-fit: contain; background: #000 }
 li { list-style: none; overflow-wrap: anywhere }
 #lost { color: #f96 }
</style></head><body>
<header><h1>@TITLE@</h1><span id="rate"></span> <span id="lost"></span></header>
<img id="picture" alt="the camera's picture with what the model sees">
<ul id="seen" aria-live="polite"></ul>
<script nonce="@NONCE@">
const token = new URLSearchParams(location.search).get("token");
const at = name => name + "?token=" + encodeURIComponent(token);
const show = (id, text) => { document.getElementById(id).textContent = text; };
const picture = document.getElementById("picture");
picture.src = at("stream");
let lost = false;
async function look() {
  try {
    const answer = await (await fetch(at("answer"), {cache: "no-store"})).json();
    show("rate", answer.rate.toFixed(1) + " pictures a second");
    show("lost", "");
    const list = document.getElementById("seen");
    list.replaceChildren(...answer.seen.map(line => {
      const item = document.createElement("li");
      item.textContent = line;
      return item;
    }));
    if (lost) { picture.src = at("stream") + "&again=" + Date.now(); lost = false; }
  } catch (error) {
    lost = true;
    show("lost", "no answer from the device");
  }
  setTimeout(look, 500);
}
look();
</script></body></html>
"""


class Preview:
    """The server and the newest picture. :meth:`show` never waits for a viewer."""

    def __init__(self, title: str, port: int, host: str = "", token: str = "") -> None:
        self.title = title
        self.token = token or secrets.token_urlsafe(12)
        self._news = threading.Condition()
        self._picture: Optional[Callable[[], Any]] = None
        self._answer: State = {"rate": 0.0, "seen": []}
        self._number = 0
        self._jpeg: tuple[int, bytes] = (0, b"")
        self._encoding = threading.Lock()
        self._viewers = threading.BoundedSemaphore(VIEWERS)
        self._server = _Server((host, port), self)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that is listened at."""
        return int(self._server.server_address[1])

    @property
    def address(self) -> str:
        """The address to open, token included."""
        return "http://%s:%d/?token=%s" % (own_address(), self.port, self.token)

    def show(self, picture: Callable[[], Any], answer: State) -> None:
        """Take the newest: ``picture`` makes a Pillow image and is called when somebody looks."""
        with self._news:
            self._picture, self._answer = picture, answer
            self._number += 1
            self._news.notify_all()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    # For the handler.

    def admits(self, given: str) -> bool:
        """Whether a token is ours, told in the same time whatever it is."""
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.token.encode("utf-8"))

    def answer(self) -> State:
        """Return what was seen last."""
        with self._news:
            return self._answer

    def next_jpeg(self, after: int) -> Optional[tuple[int, bytes]]:
        """Wait for a picture newer than ``after``; ``None`` when none came in time."""
        with self._news:
            if not self._news.wait_for(lambda: self._number > after, SILENCE):
                return None
            number, picture = self._number, self._picture
        assert picture is not None
        with self._encoding:
            # Several viewers share one encoding.
            if self._jpeg[0] < number:
                data = io.BytesIO()
                picture().save(data, "JPEG", quality=QUALITY)
                self._jpeg = (number, data.getvalue())
            return self._jpeg

    def take_seat(self) -> bool:
        """Count one more viewer, if there is room."""
        return self._viewers.acquire(blocking=False)

    def leave_seat(self) -> None:
        """Count one viewer less."""
        self._viewers.release()


def own_address() -> str:
    """Return the address by which others on the network reach this machine, as far as one tells."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Nothing is sent: the kernel only chooses the way.
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], preview: Preview) -> None:
        super().__init__(address, _Handler)
        self.preview = preview


class _Handler(BaseHTTPRequestHandler):
    """Answers one viewer."""

    server_version = "hefsmith"
    sys_version = ""

    def setup(self) -> None:
        """Nobody keeps a thread by saying nothing."""
        super().setup()
        self.connection.settimeout(SILENCE)

    @property
    def preview(self) -> Preview:
        """What is shown."""
        assert isinstance(self.server, _Server)
        return self.server.preview

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if not self.preview.admits((parse_qs(url.query).get("token") or [""])[0]):
            self._send(403, "text/plain; charset=utf-8", b"the address needs its token\n")
        elif url.path == "/":
            self._page()
        elif url.path == "/answer":
            self._send(200, "application/json", json.dumps(self.preview.answer()).encode())
        elif url.path == "/stream":
            self._stream()
        else:
            self._send(404, "text/plain; charset=utf-8", b"nothing here\n")

    def _page(self) -> None:
        nonce = secrets.token_urlsafe(9)
        title = self.preview.title.replace("&", "&amp;").replace("<", "&lt;")
        page = PAGE.replace("@NONCE@", nonce).replace("@TITLE@", title)
        policy = POLICY.format(nonce)
        self._send(200, "text/html; charset=utf-8", page.encode(), policy)

    def _stream(self) -> None:
        if not self.preview.take_seat():
            self._send(503, "text/plain; charset=utf-8", b"too many are looking\n")
            return
        try:
            self.send_response(200)
            kind = "multipart/x-mixed-replace; boundary=" + BOUNDARY
            self._head(kind, None)
            self.end_headers()
            seen = 0
            while True:
                found = self.preview.next_jpeg(seen)
                if found is None:
                    return
                seen, jpeg = found
                part = "--%s\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
                self.wfile.write((part % (BOUNDARY, len(jpeg))).encode() + jpeg + b"\r\n")
        except OSError:
            return  # the viewer has gone
        finally:
            self.preview.leave_seat()

    def _send(self, code: int, kind: str, body: bytes, policy: Optional[str] = None) -> None:
        self.send_response(code)
        self._head(kind, policy)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _head(self, kind: str, policy: Optional[str]) -> None:
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        if policy is not None:
            self.send_header("Content-Security-Policy", policy)

    def log_message(self, *_: Any) -> None:
        """Say nothing: the address of each request has the token in it."""
