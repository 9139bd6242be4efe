"""Start processes by forking one that has imported the app, which saves most of a second."""

import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from flask.cli import main

from tests.support.paths import API

forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload(["app", "flask.cli"])


def begin(command: Sequence[str], output: Path, environment: Mapping[str, str]) -> ForkServerProcess:
    """Start a command in a new session, with only these environment variables.

    `flask` runs in the fork itself. Other programs replace it.
    """
    process = forks.Process(target=_run, args=(list(command), output, dict(environment)))
    process.start()
    return process


def _run(command: list[str], output: Path, environment: dict[str, str]) -> None:
    os.setsid()
    os.chdir(API)
    with output.open("ab") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    if command[0] != "flask":
        os.execvp(command[0], command)
    sys.argv = command
    main()
