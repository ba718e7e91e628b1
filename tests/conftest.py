"""What every test may ask for. Fixtures of one subject live beside its tests."""

import os
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn
from urllib.parse import urlsplit

import pytest

import gemel.dbt.running
from trials import register_profiles
from worlds import warm_dbt
from worlds.projects import copy_example, make_once

# What the desk tells dbt, git or gemel is nothing to the tests, nor to what they start.
for variable in [each for each in os.environ if each.startswith(("DBT_", "GIT_", "OPENLINEAGE"))] + ["GEMEL_DEBUG"]:
    os.environ.pop(variable, None)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background job is deaf to Ctrl-C, and some tests press it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

register_profiles()

# The files that take longest, as they run dbt or Feast. pytest-xdist begins with them, or all would wait for the last.
LONG = (
    *("test_readme.py", "test_leak_page.py", "test_whole_way.py", "test_whole_way_on_postgres.py", "test_crashes.py"),
    *("test_diff_of_the_example.py", "test_other_states.py", "test_dbt_runs_metric_tests.py", "test_bi_whole_way.py"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


@pytest.fixture(scope="session", autouse=True)
def fork_dbt() -> Iterator[None]:
    """gemel's runs of dbt in this process are without the seconds that an import of dbt takes."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(gemel.dbt.running, "subprocess", SimpleNamespace(run=warm_dbt.run))
        yield


@pytest.fixture(scope="session")
def parsed_example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The worked example, copied and parsed by dbt, to be read. Who would change it takes a copy, `target/` and all."""
    return make_once(tmp_path_factory, "example", lambda root: gemel.load(copy_example(root)))


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
