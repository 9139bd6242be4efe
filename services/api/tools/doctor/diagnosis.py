"""All checks, in the order in which they are reported."""

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TextIO

from tools.doctor import engine, files, installation, stack
from tools.doctor.checkout import Checkout, Finding, problem
from tools.doctor.host import Host, HostOfContainer

ROOT = Path(__file__).parents[4]

Check = Callable[[Checkout], Iterator[Finding]]
CHECKS: tuple[Check, ...] = (
    files.line_endings,
    files.compose_files,
    files.names_in_env,
    files.dollar_signs,
    files.quotes_and_signs,
    files.proxy_in_front,
    files.secret_values,
    files.migrations_in_code,
    engine.docker,
    stack.folder,
    stack.port,
    stack.containers,
    stack.migrations,
    engine.clock_and_disk,
    installation.python,
    installation.settings,
    installation.clock,
)
NEED_DOCKER = (stack.folder, engine.clock_and_disk)
NEED_OWN_STACK = (stack.port, stack.containers, stack.migrations)


def main(asks_shell: bool = False) -> int:
    """Print what the checks find. Return the exit status: 1 if something is wrong."""
    host = HostOfContainer(ROOT) if asks_shell else Host(ROOT)
    return report(diagnose(Checkout(host)), sys.stderr if asks_shell else sys.stdout)


def report(findings: Iterable[Finding], output: TextIO) -> int:
    status = 0
    for finding in findings:
        output.write(f"{finding}\n")
        output.flush()
        status |= finding.kind == "problem"
    if status == 0:
        output.write("Nothing is wrong.\n")
    return status


def diagnose(checkout: Checkout, checks: Iterable[Check] = CHECKS) -> Iterator[Finding]:
    for check in checks:
        try:
            if applies(check, checkout):
                yield from check(checkout)
        except Exception as error:  # one failure must not hide the other findings
            yield problem(f"The check {check.__name__} failed: {error!r}.", "report this as a bug")


def applies(check: Check, checkout: Checkout) -> bool:
    if check in NEED_OWN_STACK:
        return checkout.has_docker and bool(checkout.compose) and not checkout.other_folder
    return check not in NEED_DOCKER or checkout.has_docker
