"""Checks of Docker: its versions, its clock and its disk."""

import re
from collections.abc import Iterator

from tools.doctor.checkout import Checkout, Finding, problem
from tools.doctor.host import NOT_FOUND

OLDEST_ENGINE, OLDEST_COMPOSE = "25", "2.24.4"
CLOCK_AND_DISK = "date +%s; df -Pk / | tail -n 1"


def docker(checkout: Checkout) -> Iterator[Finding]:
    engine, compose = checkout.engine, checkout.compose_version
    if engine.status == NOT_FOUND:
        yield problem(
            "Docker isn't installed.", "https://docs.docker.com/get-docker/, or without Docker: make run"
        )
    elif engine.status and "permission denied" in engine.output:
        user = checkout.host.output("id", "-un") or checkout.host.output("id", "-u")
        yield problem(
            "You may not use the Docker engine.", f"sudo usermod -aG docker {user}, then log in again"
        )
    elif engine.status:
        fix = "start Docker Desktop, or sudo systemctl start docker; without Docker: make run"
        yield problem("The Docker engine doesn't answer.", fix)
    elif compose.status:
        fix = "install the package docker-compose-plugin, or Docker Desktop"
        yield problem("Docker has no Compose (docker-compose with a hyphen is another, older program).", fix)
    else:
        yield check_versions(engine.output, compose.output)


def check_versions(engine: str, compose: str) -> Finding:
    if numbers(engine) < numbers(OLDEST_ENGINE):
        return problem(f"Docker Engine is {engine}, and must be {OLDEST_ENGINE} or newer.", "update Docker")
    if numbers(compose) < numbers(OLDEST_COMPOSE):
        fix = "update Docker Desktop, or the package docker-compose-plugin"
        return problem(f"Docker Compose is {compose}, and must be {OLDEST_COMPOSE} or newer.", fix)
    return Finding("ok", f"Docker Engine {engine}, Compose {compose}")


def numbers(version: str) -> list[int]:
    """Return [26, 1, 5] for v26.1.5+dfsg1."""
    return [int(number) for number in re.findall(r"\d+", re.split("[+-]", version)[0])]


def clock_and_disk(checkout: Checkout) -> Iterator[Finding]:
    """Ask a container: Docker Desktop runs them in a virtual machine."""
    image = checkout.image or f"{checkout.project}-db"
    command = (
        "docker",
        "run",
        "--rm",
        "--network",
        "none",
        "--entrypoint",
        "sh",
        image,
        "-c",
        CLOCK_AND_DISK,
    )
    seen = checkout.host.output(*command) if checkout.has_image(image) else ""
    if not seen:
        yield Finding("skipped", "clock and disk of the containers: no image has been built yet")
        return
    clock, _, _, _, free, *_ = seen.split()
    yield check_clock(int(checkout.host.output("date", "+%s")) - int(clock))
    yield check_disk(int(free) // 1024)


def check_clock(seconds: int) -> Finding:
    if abs(seconds) <= 15:
        return Finding("ok", "clock of the containers")
    return problem(
        f"The containers' clock differs from this machine's by {abs(seconds)} s.", "restart Docker"
    )


def check_disk(megabytes: int) -> Finding:
    if megabytes >= 2048:
        return Finding("ok", f"disk: {megabytes} MB free")
    fix = "docker system df shows what uses it, and docker builder prune frees some"
    return problem(f"Docker has {megabytes} MB left on its disk.", fix)
