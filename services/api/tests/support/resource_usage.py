"""Read what another process uses from Linux's /proc."""

import os
import re
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.servers import Process

needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")


def resident_kilobytes(process: Process) -> int:
    return _kilobytes(process, "VmRSS")


def peak_kilobytes(process: Process) -> int:
    """Return the most memory that the process has had since its start."""
    return _kilobytes(process, "VmHWM")


def _kilobytes(process: Process, field: str) -> int:
    status = Path(f"/proc/{process.id}/status").read_text()
    return int(re.findall(rf"{field}:\s+(\d+) kB", status)[0])


def processor_seconds(process: Process) -> float:
    fields = Path(f"/proc/{process.id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def temporary_files(process: Process) -> list[str]:
    """Return the open files without a name, which is how temporary files are kept."""
    names = []
    for file in Path(f"/proc/{process.id}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since: connections end at any time
            names.append(str(file.readlink()))
    return [name for name in names if "(deleted)" in name]
