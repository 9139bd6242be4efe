"""The log of a server: written in batches, in order, and complete after a stop or a crash."""

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from select import PIPE_BUF
from types import SimpleNamespace

import pytest
from flask import Flask
from flask.testing import FlaskClient

from kit.serving import lifecycle, log_batches, logs
from kit.serving.log_batches import in_batches
from tests.support import plain_http
from tests.support.credentials import PASSWORD
from tests.support.paths import API
from tests.support.servers import BY, Process
from tests.support.waiting import wait_until

logger = logging.getLogger("app.batches")


class Log:
    """A log in a file."""

    def __init__(self, file: Path, handler: logging.Handler) -> None:
        self.file, self.handler = file, handler

    def messages(self) -> list[str]:
        return [json.loads(line)["message"] for line in self.file.read_text().splitlines()]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    """The log of this process, in a file."""
    root, level = logging.getLogger(), logging.getLogger("app").level
    logging.getLogger("app").setLevel(logging.INFO)
    with (tmp_path / "log").open("w") as stream:
        handler = logs.make_handler("json", stream)
        root.addHandler(handler)
        yield Log(tmp_path / "log", handler)
        root.removeHandler(handler)
    logging.getLogger("app").setLevel(level)


@pytest.fixture
def slow_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches that no test waits for."""
    monkeypatch.setattr(log_batches, "BATCH_SECONDS", 60)


def test_outside_of_a_server_a_line_is_written_at_once(log: Log) -> None:
    logger.info("one")

    assert log.messages() == ["one"]


def test_a_server_writes_its_lines_soon(log: Log) -> None:
    with in_batches():
        logger.info("one")
        wait_until(lambda: log.messages() == ["one"], 60)
        logger.info("two")
        wait_until(lambda: log.messages() == ["one", "two"], 60)


@pytest.mark.usefixtures("slow_batches")
def test_the_end_of_a_server_writes_what_waits(log: Log) -> None:
    with in_batches():
        logger.info("one")
        assert log.messages() == []
    assert log.messages() == ["one"]

    logger.info("two")
    assert log.messages() == ["one", "two"]


def test_the_thread_leaves_the_log_alone_after_the_end_of_a_server(
    log: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    before = threading.enumerate()
    with in_batches():
        logger.info("one")
        [writer] = set(threading.enumerate()) - set(before)
    assert isinstance(log.handler, logging.StreamHandler)
    log.handler.stream.close()

    writer.join(timeout=60)

    assert not writer.is_alive()
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("slow_batches")
def test_what_is_printed_is_written_with_the_lines(log: Log) -> None:
    with in_batches():
        print('{"message": "printed"}', file=log.handler.stream)  # type: ignore[attr-defined]
        logger.warning("one")

        assert log.messages() == ["printed", "one"]


@pytest.mark.usefixtures("slow_batches")
def test_the_exit_of_the_process_writes_what_waits(log: Log) -> None:
    with in_batches():
        logger.info("one")
        logging.shutdown([lambda: log.handler])  # what Python calls at exit

        assert log.messages() == ["one"]


def fail() -> None:
    try:
        raise RuntimeError("a bug")
    except RuntimeError:
        logger.info("urgent", exc_info=True)


@pytest.mark.usefixtures("slow_batches")
@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda: logger.warning("urgent"), id="a warning"),
        pytest.param(lambda: logging.getLogger("app.security").info("urgent"), id="a security event"),
        pytest.param(fail, id="a traceback"),
    ],
)
def test_an_urgent_line_is_written_at_once_after_those_before_it(log: Log, write: Callable[[], None]) -> None:
    with in_batches():
        logger.info("one")
        write()
        logger.info("two")
        assert log.messages() == ["one", "urgent"]

    assert log.messages() == ["one", "urgent", "two"]


@pytest.mark.any_database
@pytest.mark.usefixtures("slow_batches")
def test_a_security_event_of_a_request_is_written_at_once(log: Log, client: FlaskClient) -> None:
    with in_batches():
        client.get("/")
        client.post("/auth/login", json={"username": "ann", "password": PASSWORD})
        assert log.messages() == ["GET / 200", "login_failed"]

    assert log.messages() == ["GET / 200", "login_failed", "POST /auth/login 401"]


@pytest.mark.usefixtures("slow_batches")
def test_a_full_queue_is_written_by_the_request(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_batches, "MAX_LINES", 5)
    numbers = [str(number) for number in range(12)]

    with in_batches():
        for number in numbers:
            logger.info(number)
        assert log.messages() == numbers[:10]

    assert log.messages() == numbers


def test_each_thread_has_its_lines_once_and_in_order(log: Log) -> None:
    def write(name: str) -> None:
        for number in range(300):
            level = logging.WARNING if number % 50 == 7 else logging.INFO
            logger.log(level, "%s %d", name, number)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    with in_batches():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    for name in "abcd":
        own = [message for message in log.messages() if message.startswith(name)]
        assert own == [f"{name} {number}" for number in range(300)]


@pytest.mark.usefixtures("slow_batches")
def test_two_servers_share_the_log_of_their_process(log: Log) -> None:
    apps = [Flask("one"), Flask("two")]
    for app in apps:
        lifecycle.init_app(app)
    servers = [lifecycle.serving(app) for app in apps]
    for server in servers:
        server.__enter__()

    servers[0].__exit__(None, None, None)  # the first to start is the first to stop
    logger.info("one")
    assert log.messages() == []
    servers[1].__exit__(None, None, None)

    assert log.messages() == ["one"]


@pytest.mark.skipif(not hasattr(os, "O_DIRECT"), reason="shows each write to a pipe only on Linux")
def test_lines_of_several_processes_do_not_mix_in_a_pipe() -> None:
    read, write = os.pipe2(os.O_DIRECT)
    with os.fdopen(write, "w") as stream:
        handler = logs.make_handler("json", stream)
        assert isinstance(handler, log_batches.BatchHandler)
        handler.begin_batches()
        for number in range(100):
            handler.handle(logging.makeLogRecord({"msg": "x" * number, "levelno": logging.INFO}))
        handler.end_batches()
    packets = list(iter(lambda: os.read(read, 65_536), b""))
    os.close(read)

    assert len(packets) < 100  # the kernel never mixes a packet of at most PIPE_BUF bytes with others
    assert all(len(packet) <= PIPE_BUF and packet.endswith(b"\n") for packet in packets)
    assert len(b"".join(packets).splitlines()) == 100


@pytest.fixture
def make_room(log: Log) -> Iterator[Callable[[], object]]:
    """The disk of the log is full, until this is called."""
    assert isinstance(log.handler, log_batches.BatchHandler)
    descriptor = log.handler.stream.fileno()
    disk, full = os.dup(descriptor), os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, descriptor)
    yield lambda: os.dup2(disk, descriptor)
    os.close(disk)
    os.close(full)


@pytest.mark.any_database
def test_a_full_disk_fails_no_request_and_loses_no_line(
    client: FlaskClient,
    log: Log,
    make_room: Callable[[], object],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(log_batches, "RETRY_SECONDS", 0.01)

    with in_batches():
        client.get("/")
        client.post("/auth/login", json={"username": "ann", "password": PASSWORD})
        wait_until(lambda: "Its lines wait" in capsys.readouterr().err, 60)
        assert client.get("/problems").status_code == 200
        make_room()
        wait_until(lambda: len(log.messages()) == 4, 60)

    assert log.messages() == ["GET / 200", "login_failed", "POST /auth/login 401", "GET /problems 200"]


@pytest.mark.usefixtures("slow_batches")
def test_while_the_disk_is_full_only_the_newest_lines_are_lost(
    log: Log,
    make_room: Callable[[], object],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(log_batches, "MAX_LINES", 5)

    with in_batches():
        for letter in "abcdefgh":
            logger.info(letter * PIPE_BUF)  # so that each line is a chunk
        make_room()
        logger.info("on disk again")

    assert [message[0] for message in log.messages()] == ["a", "b", "c", "d", "e", "o"]
    assert capsys.readouterr().err.count("No space left on device") == 3


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_if_the_thread_ends_each_line_is_written_at_once(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_batches, "time", SimpleNamespace(sleep=lambda _: sys.exit()))
    before = threading.enumerate()
    with in_batches():
        [writer] = [each for each in threading.enumerate() if each not in before]
        logger.info("one")  # wakes the thread
        writer.join(60)
        logger.info("two")

        assert log.messages() == ["one", "two"]


def test_without_a_thread_each_line_is_written_at_once(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        server = in_batches()
        server.__enter__()

    logger.info("one")
    assert log.messages() == ["one"]
    server.__exit__(None, None, None)


START = """
import logging, os, sys, threading
from kit.serving import log_batches, logs
log_batches.BATCH_SECONDS = 60
logs.set_up("json", "INFO")
logger = logging.getLogger("app")
def crash():
    raise RuntimeError("a bug")
"""


def run(code: str) -> tuple[int, str]:
    """Run code in another process. Return its exit code and what it wrote to both outputs."""
    done = subprocess.run(
        [sys.executable, "-c", START + code],
        cwd=API, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout


CRASHES = {
    "the main thread": "crash()",
    "another thread": "t = threading.Thread(target=crash); t.start(); t.join()",
}


@pytest.mark.parametrize("crash", CRASHES.values(), ids=CRASHES)
def test_a_crash_writes_the_lines_before_its_traceback(crash: str) -> None:
    _, output = run(f"with log_batches.in_batches(): logger.info('before'); {crash}")

    assert output.index('"before"') < output.index("Traceback")
    assert output.count('"before"') == 1
    assert "RuntimeError: a bug" in output


def test_sys_exit_and_a_signal_handler_that_raises_lose_no_line() -> None:
    code, output = run("""
import signal
signal.signal(signal.SIGABRT, lambda *_: sys.exit(3))
with log_batches.in_batches():
    logger.info("before")
    os.kill(os.getpid(), signal.SIGABRT)
""")

    assert (code, output.count('"before"')) == (3, 1)


def test_a_fork_writes_only_its_own_lines() -> None:
    code, output = run("""
import warnings
warnings.simplefilter("ignore")  # Python 3.12 and newer warn of a fork with threads
with log_batches.in_batches():
    logger.info("of the parent")
    if not (child := os.fork()):
        logger.info("of the child")
        os._exit(0)
    os.waitpid(child, 0)
    logger.info("of the parent again")
""")

    assert code == 0, output
    messages = [json.loads(line)["message"] for line in output.splitlines()]
    assert messages == ["of the child", "of the parent", "of the parent again"]


@pytest.mark.long
@pytest.mark.parametrize("kind", BY)
def test_a_stop_loses_no_line(start: Callable[..., Process], kind: str) -> None:
    process = start(LOG_FORMAT="json", **BY[kind])
    names = [f"request-{number}" for number in range(200)]
    with plain_http.Client(base_url=process.url) as client:
        for name in names:
            client.get("/problems", headers={"X-Request-ID": name})

    code, output = process.stop()

    logged = [json.loads(line).get("request_id") for line in output.splitlines()]
    assert code == 0
    assert sorted(name for name in logged if name) == sorted(names)  # processes have no common order
