"""What the checks share: findings, the files of the checkout, and what Docker Compose reads from them."""

import json
import os
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Literal, NamedTuple, TypedDict

from tools.doctor.host import Done, Host

# Compose also accepts NAME: value, and spaces around the sign.
ASSIGNMENT = re.compile(
    r"^[ \t]*(?:export[ \t]+)?([a-z_][\w.-]*)([ \t]*[=:][ \t]*)(.*)$", re.MULTILINE | re.ASCII | re.IGNORECASE
)
QUOTED = re.compile(r"""(["'])(.*?)(?<!\\)\1(.*)""")
# $$, $NAME, ${NAME} and ${NAME:-default}, as Compose replaces them in a value without single quotes.
REFERENCE = re.compile(r"\$(?:\$|([a-z_]\w*)|\{([a-z_]\w*)(?::?-([^}]*))?[^}]*\})", re.ASCII | re.IGNORECASE)
SECRETS = ("SECRET_KEY", "POSTGRES_PASSWORD", "DATABASE_URL")


class Assignment(NamedTuple):
    """A line of .env."""

    name: str
    sign: str  # = with the white space around it
    value: str  # without quotes
    rest: str = ""  # text after the closing quote, which Compose drops
    is_literal: bool = False  # in single quotes

    @property
    def references(self) -> dict[str, str | None]:
        """The variables that Compose inserts, and their defaults."""
        found = () if self.is_literal else REFERENCE.finditer(self.value)
        return {match[1] or match[2]: match[3] for match in found if match[0] != "$$"}

    def insert(self, variables: Mapping[str, str]) -> str:
        if self.is_literal:
            return self.value
        return REFERENCE.sub(
            lambda match: "$" if match[0] == "$$" else variables.get(match[1] or match[2]) or match[3] or "",
            self.value,
        )


class Finding(NamedTuple):
    kind: Literal["ok", "note", "problem", "skipped"]
    message: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.kind:<8} {self.message}" + (f" Fix: {self.fix}" if self.fix else "")


def problem(message: str, fix: str) -> Finding:
    return Finding("problem", message, fix)


class Port(TypedDict, total=False):
    published: str
    host_ip: str


class Service(TypedDict, total=False):
    environment: dict[str, str | None]
    ports: list[Port]


class ComposeConfig(TypedDict):
    name: str
    services: dict[str, Service]


class Migrations(NamedTuple):
    revisions: list[str]
    heads: list[str]


def read_migrations(text: str) -> Migrations:
    """Find revisions and heads in the text of all migrations, which may be too broken to import."""
    revisions = sorted(re.findall(r"^revision\b[^=\n]*=\s*[\"']([^\"']+)", text, re.MULTILINE))
    parents = " ".join(re.findall(r"^down_revision\b[^=\n]*=(.*)", text, re.MULTILINE))
    return Migrations(revisions, sorted(set(revisions) - set(re.findall(r"[\"']([^\"']+)", parents))))


def read_assignments(env: str) -> list[Assignment]:
    """Return the assignments of a .env file, in order, as Compose reads them."""
    return [_read(*line) for line in ASSIGNMENT.findall(env.removeprefix("\ufeff"))]


def _read(name: str, sign: str, value: str) -> Assignment:
    if quoted := QUOTED.match(value):
        rest = quoted[3].strip()
        return Assignment(name, sign, quoted[2], "" if rest.startswith("#") else rest, quoted[1] == "'")
    return Assignment(name, sign, value.partition(" #")[0].rstrip())


class Checkout:
    def __init__(self, host: Host) -> None:
        self.host = host
        self.root = host.root

    def text(self, path: str) -> str:
        file = self.root / path
        return file.read_text("utf-8", errors="replace") if file.exists() else ""

    @cached_property
    def env(self) -> list[Assignment]:
        return read_assignments(self.text(".env"))

    @cached_property
    def migrations(self) -> Migrations:
        files = self.root.glob("services/api/migrations/versions/*.py")
        return read_migrations("\n".join(file.read_text("utf-8") for file in files))

    @cached_property
    def engine(self) -> Done:
        """The version of the Docker engine, or why it doesn't answer."""
        return self.host.run("docker", "version", "--format", "{{.Server.Version}}", stderr=True)

    @cached_property
    def compose_version(self) -> Done:
        return self.host.run("docker", "compose", "version", "--short")

    @property
    def has_docker(self) -> bool:
        return self.engine.status == self.compose_version.status == 0

    @cached_property
    def compose(self) -> ComposeConfig | None:
        """What Compose reads from its files, .env and the shell; `None` if it can't."""
        output = self.host.output("docker", "compose", "config", "--format", "json")
        config: ComposeConfig | None = json.loads(output) if output else None
        return config

    @property
    def project(self) -> str:
        return self.compose["name"] if self.compose else ""

    @property
    def api(self) -> Service:
        return self.compose["services"].get("api", {}) if self.compose else {}

    @property
    def has_worker(self) -> bool:
        """Whether jobs run in separate containers."""
        services = self.compose["services"] if self.compose else {}
        return "worker" in services and self.settings.get("WORKER") != "thread"

    @cached_property
    def settings(self) -> dict[str, str]:
        """The settings as Compose reads them, or else those of .env and the shell."""
        if self.compose:
            services = self.compose["services"]
            given = services.get("db", {}).get("environment", {}) | self.api.get("environment", {})
            return {name: value.replace("$$", "$") for name, value in given.items() if value}
        values: dict[str, str] = {}
        for each in self.env:
            values[each.name] = each.insert(values | os.environ)
        return values | {name: os.environ[name] for name in (*values, *SECRETS) if os.environ.get(name)}

    def has_image(self, image: str) -> bool:
        return self.has_docker and self.host.succeeds("docker", "image", "inspect", image)

    @cached_property
    def image(self) -> str | None:
        """The image with the app, if it was built."""
        candidates = (self.project, f"{self.project}-dev") if self.project else ()
        return next((image for image in candidates if self.has_image(image)), None)

    @cached_property
    def other_folder(self) -> str | None:
        """Another folder from which this project's containers were started."""
        label = "com.docker.compose.project"
        command = ("docker", "ps", "--all", "--filter", f"label={label}={self.project}", "--format")
        folders = self.host.output(*command, f'{{{{.Label "{label}.working_dir"}}}}').splitlines()
        others = (folder for folder in sorted({*folders}) if not self.host.is_same_file(folder, "."))
        # One that is gone may be this folder under its old name.
        return next((folder for folder in others if self.host.succeeds("test", "-d", folder)), None)

    @property
    def has_current_venv(self) -> bool:
        """Whether .venv has the packages that are locked now."""
        installed = self.root / ".venv/requirements.txt"
        locked = self.root / "services/api/requirements.txt"
        return installed.exists() and installed.read_bytes() == locked.read_bytes()
