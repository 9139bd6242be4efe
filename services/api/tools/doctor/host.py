"""The machine to examine. Commands run in the folder of the checkout."""

import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

NOT_FOUND = 127


class Done(NamedTuple):
    status: int
    output: str

    @property
    def last_line(self) -> str:
        return self.output.rpartition("\n")[2]


class Host:
    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, *command: str, stdin: str = "", stderr: bool = False) -> Done:
        """Run a command. `stderr` adds its errors to the output."""
        errors = subprocess.STDOUT if stderr else subprocess.DEVNULL
        try:
            done = subprocess.run(  # noqa: S603
                command,
                cwd=self.root,
                input=stdin.encode(),
                stdout=subprocess.PIPE,
                stderr=errors,
                check=False,
            )
        except OSError:
            return Done(NOT_FOUND, "")
        return Done(done.returncode, done.stdout.decode(errors="replace").rstrip("\n"))

    def output(self, *command: str) -> str:
        """Return what a command prints, or nothing if it fails."""
        done = self.run(*command)
        return done.output if done.status == 0 else ""

    def succeeds(self, *command: str) -> bool:
        return self.run(*command).status == 0

    def is_same_file(self, path: str, other: str) -> bool:
        return self.succeeds("bash", "-c", '[ "$0" -ef "$1" ]', path, other)


class HostOfContainer(Host):
    """The machine outside this container, through the shell that started it (scripts/doctor).

    That shell reads commands from our output, each ended by NUL, and answers with the status, a newline, the
    output and NUL.
    """

    def run(self, *command: str, stdin: str = "", stderr: bool = False) -> Done:
        errors = "&1" if stderr else "/dev/null"
        request = f"{shlex.join(command)} <<<{shlex.quote(stdin)} 2>{errors}\0"
        sys.stdout.buffer.write(request.encode())
        sys.stdout.flush()
        answer = b""
        while (byte := sys.stdin.buffer.read(1)) not in (b"\0", b""):  # empty: the shell was stopped
            answer += byte
        status, _, output = answer.decode(errors="replace").partition("\n")
        return Done(int(status), output)
