"""The locks pin everything that they install, so that every installation is the same."""

import re
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.paths import API, REPOSITORY

LOCKS = sorted([*API.glob("requirements*.txt"), *REPOSITORY.glob("proof/*/requirements.txt")])
INSTALLED_HERE = ["requirements.txt", "requirements-dev.txt"]
NAME, MARKER, HASH = r"[a-z0-9.-]+(\[[a-z0-9,-]+\])?", r"( ; [^\\]+)?", r"\n    --hash=sha256:[0-9a-f]{64}"
PINNED = re.compile(rf"{NAME}==[^ ;]+{MARKER} \\({HASH}( \\)?)+")


def entries(lock: Path) -> list[str]:
    """Return the requirements of a lock, each with its hashes and without comments."""
    text = re.sub(r"^ *#.*\n", "", lock.read_text(), flags=re.MULTILINE)
    return re.split(r"\n(?=\S)", text.strip())


def pins(lock: Path) -> dict[str, Requirement]:
    """Return the packages that a lock installs on this machine, by name."""
    requirements = [Requirement(entry.partition(" \\")[0]) for entry in entries(lock)]
    return {
        canonicalize_name(each.name): each
        for each in requirements
        if each.marker is None or each.marker.evaluate()
    }


def needs(pin: Requirement) -> list[Requirement]:
    """Return the dependencies of an installed package on this machine, with its pinned extras."""
    requirements = [Requirement(text) for text in distribution(pin.name).requires or []]
    environments = [{"extra": extra} for extra in ("", *pin.extras)]
    return [
        each
        for each in requirements
        if each.marker is None or any(each.marker.evaluate(environment) for environment in environments)
    ]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: str(lock.relative_to(REPOSITORY)))
def test_every_package_is_pinned_by_version_and_hash(lock: Path) -> None:
    assert entries(lock)
    for entry in entries(lock):
        assert PINNED.fullmatch(entry), f"{lock} doesn't pin {entry.partition(' ')[0]}. Run make lock."


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: str(lock.relative_to(REPOSITORY)))
def test_no_lock_contains_a_url(lock: Path) -> None:
    assert "://" not in lock.read_text()
    assert "--index-url" not in lock.read_text()


@pytest.mark.parametrize("name", INSTALLED_HERE)
def test_every_dependency_of_a_locked_package_is_locked_with_its_extras(name: str) -> None:
    locked = pins(API / name)

    for pin in locked.values():
        for need in needs(pin):
            other = locked.get(canonicalize_name(need.name))
            assert other, f"{name}: {pin.name} needs {need}, which isn't locked. Run make lock."
            version = str(other.specifier).removeprefix("==")
            assert need.specifier.contains(version, prereleases=True), f"{name}: {pin.name} needs {need}"
            # Without the extra, some pips look for a newer release, whose hash isn't in the lock.
            assert need.extras <= other.extras, f"{name}: {pin.name} needs {need}, and {other} is locked"


def install_commands() -> list[str]:
    folders = [REPOSITORY / "scripts", REPOSITORY / "docker", *REPOSITORY.glob("proof/*/")]
    texts = [file.read_text() for folder in folders for file in folder.iterdir() if file.is_file()]
    lines = [line for text in texts for line in text.replace("\\\n", " ").splitlines()]
    return [line for line in lines if re.search(r"^[^#]*\binstall\b.* (-r|--requirement)[ =]", line)]


def test_every_lock_is_installed_with_hashes_and_without_resolving() -> None:
    commands = install_commands()

    assert len(commands) >= 3
    for command in commands:
        assert "--require-hashes" in command, command
        # Without --no-deps, pip would look for newer releases of dependencies.
        assert "--no-deps" in command, command
