"""What engines and Docker's settings do wrong ends in our errors, and never in a traceback."""

from __future__ import annotations

import base64
import json
import stat
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestrator.engine import images
from orchestrator.engine.address import Address
from orchestrator.engine.base import EngineUnavailableError, ImageBuildError
from orchestrator.engine.client import Connection
from orchestrator.engine.context import Blob, Context
from orchestrator.engine.logins import Logins, bases
from orchestrator.errors import EngineError

from .fake_engine import FakeEngine, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCKERFILE = "ARG BASE=registry.example:5000/team/base:1\nFROM ${BASE} AS a\nFROM a\n"
CONTEXT = Context({"Dockerfile": Blob(DOCKERFILE.encode())})
BASE = "registry.example:5000/team/base:1"


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def connection(engine: FakeEngine) -> Iterator[Connection]:
    # A socket's path must be short.
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(engine, Path(folder) / "s") as url,
    ):
        made = Connection(Address("docker", url, "test"))
        yield made
        made.close()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path / "config.json"


def helper(folder: Path, name: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "bin" / f"docker-credential-{name}"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!{sys.executable}\nimport sys, time\nasked = sys.stdin.read()\n{code}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


@pytest.mark.parametrize(
    "store",
    [{"credsStore": "desktop.exe"}, {"credHelpers": {"registry.example:5000": "desktop.exe"}}],
)
@pytest.mark.parametrize("there", [True, False])
def test_an_image_is_built_without_a_login_that_cannot_be_had(
    store: object, there: bool, settings: Path, engine: FakeEngine, connection: Connection
) -> None:
    settings.write_text(json.dumps(store))
    if there:
        engine.images[BASE] = {}
    assert images.build(connection, CONTEXT, tag="mine:1").id == "sha256:mine:1"
    assert "X-Registry-Config" not in engine.headers("/build")


def test_a_build_that_needed_the_login_names_the_file_of_the_settings(
    settings: Path, engine: FakeEngine, connection: Connection
) -> None:
    settings.write_text('{"credsStore": "desktop.exe"}')
    said = f"pull access denied for {BASE}, repository does not exist or may require login"
    engine.answers["/build"] = (200, json.dumps({"error": said}).encode())
    with pytest.raises(ImageBuildError) as caught:
        images.build(connection, CONTEXT, tag="mine:1")
    assert str(settings) in str(caught.value.hint)
    assert "docker-credential-desktop.exe not installed" in str(caught.value.hint)
    assert "HEFSMITH_BASE_IMAGE" in str(caught.value.hint)


def test_only_the_login_of_the_base_goes_along(
    settings: Path,
    engine: FakeEngine,
    connection: Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code = (
        "assert sys.argv[1] == 'get', 'nobody need see the others'\n"
        'print(\'{"ServerURL": "x", "Username": "me", "Secret": "s3cret"}\')'
    )
    helper(tmp_path, "keeper", code, monkeypatch)
    other = base64.b64encode(b"me:other").decode()
    settings.write_text(
        json.dumps({"auths": {"elsewhere.example": {"auth": other}}, "credsStore": "keeper"})
    )
    images.build(connection, CONTEXT, tag="mine:1")
    sent = json.loads(base64.urlsafe_b64decode(engine.headers("/build")["X-Registry-Config"]))
    assert list(sent) == ["registry.example:5000"]
    assert sent["registry.example:5000"]["Password"] == "s3cret"
    # The next build has a base that is there: the login stays at home.
    engine.images[BASE] = {}
    images.build(connection, CONTEXT, tag="mine:2")
    assert "X-Registry-Config" not in engine.headers("/build")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("time.sleep(60)", "did not answer within"),
        ("sys.exit('no keychain')", "exited with"),
        ("print('{')", "JSONDecodeError"),
        ("print('[]')", "TypeError"),
    ],
)
def test_a_program_that_keeps_logins_may_fail_in_any_way(
    code: str, said: str, settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from docker import auth

    helper(tmp_path, "keeper", code, monkeypatch)
    settings.write_text("{}")
    found = Logins(auth.AuthConfig({"credsStore": "keeper"}), [BASE], patience=1.0)
    assert not found.known
    assert said in str(found.trouble)
    assert str(settings) in str(found.trouble)


@pytest.mark.parametrize(
    "text",
    [
        '{"credsStore": "desktop.exe"}', "[]", "7", '"x"', "null", "{", "\x00", '{"auths": []}',
        '{"auths": 7}', '{"auths": {"x": "y"}}', '{"auths": {"x": {"auth": "!"}}}',
        '{"auths": {"x": {"auth": "YQ=="}}}', '{"auths": {"x": {"auth": 7}}}', '{"proxies": []}',
        '{"proxies": 7}', '{"proxies": {"default": 7}}', '{"credHelpers": 7}',
        '{"credHelpers": {"registry.example:5000": 7}}', '{"credsStore": 7}',
        '{"credsStore": ["a"]}', '{"HttpHeaders": 7}',
    ],
)  # fmt: skip
def test_settings_of_docker_that_are_odd_cost_one_line_at_most(
    text: str, settings: Path, connection: Connection
) -> None:
    settings.write_text(text)
    try:
        images.build(connection, CONTEXT, tag="mine:1")
    except EngineError as error:
        assert str(settings) in error.message
        assert "\n" not in error.message
        assert error.code == "engine.docker-settings"


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/version", "/info", "/images/", "/build"])
@pytest.mark.parametrize(
    "answer",
    [
        (200, b""), (200, b"<html>"), (200, b"[]"), (200, b"7"), (200, b"null"), (200, b'{"a'),
        (200, b"\xff\xfe"), (404, b""), (400, b'{"message": 7}'), (407, b"<html>proxy"),
        (500, b"{}"), (503, b""), (302, b""),
    ],
)  # fmt: skip
def test_an_engine_may_answer_anything(
    path: str, answer: tuple[int, bytes], engine: FakeEngine, connection: Connection
) -> None:
    engine.answers[path] = answer
    try:
        connection.info()
        images.build(connection, CONTEXT, tag="mine:1")
    except EngineError as error:
        assert error.message


@pytest.mark.parametrize(
    ("said", "code", "helps"),
    [
        # Words of engines as their users have met them.
        (('short-name "debian:bookworm-slim" did not resolve to an alias and no unqualified-search '
         'registries are defined in "/etc/containers/registries.conf"'),
         "engine.short-name", "registries.conf"),
        (("client version 1.43 is too old. Minimum supported API version is 1.44, please upgrade "
         "your client to a newer version"), "engine.api-version", "pip install --upgrade docker"),
        ("client version 1.52 is too new. Maximum supported API version is 1.43",
         "engine.api-version", "Update the engine"),
        ("Mounts denied: \nThe path /data is not shared from the host and is not known to Docker.",
         "engine.not-shared", "File sharing"),
        ('Get "https://registry-1.docker.io/v2/": x509: certificate signed by unknown authority',
         "engine.certificate", "CA"),
        (('Get "https://registry-1.docker.io/v2/": proxyconnect tcp: dial tcp 10.0.0.1:3128: i/o '
         "timeout"), "engine.proxy", "HTTPS_PROXY"),
        ("Proxy Authentication Required", "engine.proxy", "HTTPS_PROXY"),
        ("toomanyrequests: You have reached your pull rate limit.", "engine.rate-limit",
         "docker login"),
        ("write /var/lib/docker/tmp/x: no space left on device", "engine.disk-full", "prune"),
    ],
)  # fmt: skip
def test_known_words_of_engines_have_a_meaning_and_a_hint(
    said: str, code: str, helps: str, engine: FakeEngine, connection: Connection
) -> None:
    engine.answers["/images/"] = (500, json.dumps({"message": said}).encode())
    with pytest.raises(EngineError) as refused:
        images.find(connection, "x")
    engine.answers = {"/build": (200, json.dumps({"error": said}).encode())}
    with pytest.raises(ImageBuildError) as failed:
        images.build(connection, CONTEXT, tag="mine:1")
    for error in (refused.value, failed.value):
        assert error.code == code
        assert helps in str(error.hint)


def test_what_cannot_be_a_name_is_no_image(engine: FakeEngine, connection: Connection) -> None:
    """``hef toolchain import C:\\Suite.zip`` of a file that is not there told of lower case."""
    said = (
        "no such image: C:/Suite.zip: invalid reference format: repository name must be lowercase"
    )
    engine.answers["/images/"] = (400, json.dumps({"message": said}).encode())
    assert images.find(connection, "C:/Suite.zip") is None


def test_an_engine_that_is_too_old_is_told_at_the_first_contact(
    engine: FakeEngine, connection: Connection
) -> None:
    engine.answers["/version"] = (200, b'{"ApiVersion": "1.12"}')
    with pytest.raises(EngineUnavailableError) as caught:
        connection.info()
    assert caught.value.code == "engine.api-version"


def test_what_our_own_code_raises_below_the_sdk_is_not_blamed_on_the_engine(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> object:
        raise KeyError("ours")

    monkeypatch.setattr(images, "read_image", broken)
    with pytest.raises(KeyError, match="ours"), connection.calls("x"):
        images.read_image({})

    def stream() -> Iterator[bytes]:
        yield b"x"
        raise AssertionError("ours too")

    stream.__globals__["__name__"] = "orchestrator.engine.context"
    try:
        with pytest.raises(AssertionError, match="ours too"), connection.calls("x"):
            connection.api.put("http+docker://localhost/x", data=stream())
    finally:
        stream.__globals__["__name__"] = __name__


def test_the_bases_of_a_dockerfile_are_its_images_without_its_own_stages() -> None:
    text = (
        "# FROM comment\nARG BASE=debian:12\nARG EMPTY\nfrom --platform=linux/amd64 $BASE as one\n"
        "FROM one AS two\nFROM ${EMPTY}\nFROM scratch\nCOPY --from=one /a /b\nFROM alpine\n"
    )
    assert bases(text, {}) == ("debian:12", "alpine")
    assert bases(text, {"BASE": "ubuntu", "EMPTY": "x"}) == ("ubuntu", "x", "alpine")
