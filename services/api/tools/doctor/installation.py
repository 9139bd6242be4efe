"""Checks of this machine's Python and clock, and of the settings with the app's code."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

from tools.doctor.checkout import Checkout, Finding, problem

PYTHON = ".venv/bin/python"
SETTINGS_CHECK = Path(__file__).with_name("check_settings.py")  # sent as text: the image doesn't have it
SOME_ARE_WRONG = 3
# As in the Makefile, so that Windows line endings are reported only once.
VENV_CHECK = 'bash -c "$(tr -d "\\r" <scripts/venv)" scripts/venv --check "make run"'


def python(checkout: Checkout) -> Iterator[Finding]:
    """Check what make run and make test need without Docker."""
    if os.path.lexists(checkout.root / PYTHON):
        yield check_venv(checkout)
        return
    possible = checkout.host.run("bash", "-c", VENV_CHECK, stderr=True)
    if possible.status == 0:
        yield Finding("ok", "Python: .venv can be created")
    else:
        reason, _, fix = possible.output.partition(". ")
        yield problem_without_docker(checkout, f"{reason}.", fix)


def check_venv(checkout: Checkout) -> Finding:
    fix = "rm -r .venv; the next command that needs it creates it again"
    if not checkout.host.succeeds(PYTHON, "-c", ""):
        return problem_without_docker(checkout, ".venv is broken: its Python doesn't start.", fix)
    if not checkout.has_current_venv:
        return Finding("ok", ".venv, which the next command that needs it brings up to date")
    imported = checkout.host.run(PYTHON, "-c", "import flask", stderr=True)
    if imported.status:
        return problem_without_docker(checkout, f".venv is broken: {imported.last_line}.", fix)
    return Finding("ok", ".venv")


def problem_without_docker(checkout: Checkout, message: str, fix: str) -> Finding:
    if checkout.has_docker:
        return Finding("note", f"{message} With Docker, only some commands need it.", fix)
    return problem(message, fix)


def settings(checkout: Checkout) -> Iterator[Finding]:
    command = python_with_the_app(checkout)
    if not command:
        yield Finding(
            "skipped", "settings: install the app to check them (docker compose build or scripts/venv)"
        )
        return
    code, values = SETTINGS_CHECK.read_text("utf-8"), json.dumps(checkout.settings)
    done = checkout.host.run(*command, "-c", code, stdin=values, stderr=True)
    if done.status == 0:
        yield Finding("ok", "settings")
    elif done.status == SOME_ARE_WRONG:
        wrong = (line for line in done.output.splitlines() if line.startswith("setting: "))
        yield from (problem(line.removeprefix("setting: "), "correct it in .env") for line in wrong)
    else:
        fix = "docker compose build, or rm -r .venv, and try again; .env may be correct"
        yield problem(f"The settings can't be checked: {done.last_line}.", fix)


def python_with_the_app(checkout: Checkout) -> list[str]:
    if checkout.image:
        return ["docker", "run", "--rm", "-i", "--network", "none", "--entrypoint", "python", checkout.image]
    if checkout.has_current_venv and checkout.host.succeeds("test", "-x", PYTHON):
        return ["env", "PYTHONPATH=services/api", PYTHON]
    return []


def clock(checkout: Checkout) -> Iterator[Finding]:
    newest = checkout.host.output("git", "log", "-1", "--format=%ct")
    if newest and int(newest) > int(checkout.host.output("date", "+%s")) + 60:
        fix = "set it: tokens and certificates depend on it"
        yield problem("This machine's clock is behind the newest commit.", fix)
