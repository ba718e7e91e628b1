"""What every test may ask for. Fixtures of one subject live beside its tests."""

import os
import shutil
import signal
import socket
from typing import NoReturn
from urllib.parse import urlsplit

import pytest

from trials import register_profiles

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background job is deaf to Ctrl-C, and some tests press it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


register_profiles()


@pytest.fixture(scope="session")
def needs_postgres() -> str:
    """The URL of a PostgreSQL server where tests may make schemas of their own.

    As a mark: `@pytest.mark.usefixtures("needs_postgres")`.
    """
    url = os.environ.get("GEMEL_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")
    # An SSLRequest: eight bytes that every PostgreSQL answers with one, before any login.
    return _answering(url, "PostgreSQL", "GEMEL_TEST_POSTGRES", b"\0\0\0\x08\x04\xd2\x16\x2f", (b"S", b"N"))


@pytest.fixture(scope="session")
def needs_redis() -> str:
    """The URL of a Redis server where tests may make keys of their own."""
    url = os.environ.get("GEMEL_TEST_REDIS", "redis://127.0.0.1:6379/0")
    return _answering(url, "Redis", "GEMEL_TEST_REDIS", b"PING\r\n", (b"+PONG", b"-NOAUTH"))


@pytest.fixture(scope="session")
def needs_chromium() -> str:
    """The path of a Chromium or Chrome that playwright can drive."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    found = os.environ.get("GEMEL_TEST_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    return found or _missing("no Chromium (Debian: apt install chromium); GEMEL_TEST_CHROMIUM can name one")


def _answering(url: str, what: str, variable: str, hello: bytes, answers: tuple[bytes, ...]) -> str:
    """The URL, once its server has answered. Without one, a test is skipped at a user's and fails in CI."""
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 0), timeout=5) as server:
            server.sendall(hello)
            answer = server.recv(64)
        reason = None if answer.startswith(answers) else f"what answers is no {what}"
    except OSError as error:
        reason = str(error)
    if reason is None:
        return url
    _missing(f"no {what} at {parts.hostname}:{parts.port} ({reason}); {variable} can name another one")


def _missing(why: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(why, pytrace=False)
    pytest.skip(why)
