"""Checks of the files: line endings, Compose files, .env, secrets, migrations."""

import re
from collections import Counter
from collections.abc import Iterator
from difflib import get_close_matches
from itertools import chain

from tools.doctor.checkout import SECRETS, Checkout, Finding, problem

RUN_BY_LINUX = ("scripts/*", "docker/*", ".ci/run")
PLACEHOLDER = re.compile(
    r"change.?(me|it|this)|placeholder|example|passw(or)?d|secret|insecure|default|your.?key|flask.api", re.I
)
NEW_KEY = "remove it to have one made, or use python3 -c 'import secrets; print(secrets.token_hex(32))'"
NEW_PASSWORD = "remove it to have one made; docker compose up --wait then sets it in the database"
NEW_URL = "change it in the database, then in DATABASE_URL"


def line_endings(checkout: Checkout) -> Iterator[Finding]:
    files = chain(*(sorted(checkout.root.glob(pattern)) for pattern in RUN_BY_LINUX))
    wrong = [str(file.relative_to(checkout.root)) for file in files if b"\r" in file.read_bytes()]
    if wrong:
        fix = "commit your changes, then run git rm --cached -r -q . && git reset --hard"
        yield problem(f"Linux can't run files with Windows line endings: {' '.join(wrong)}.", fix)
    else:
        yield Finding("ok", "line endings")


def compose_files(checkout: Checkout) -> Iterator[Finding]:
    if checkout.compose or checkout.compose_version.status:
        return
    error = checkout.host.run("docker", "compose", "config", "--quiet", stderr=True).last_line
    if "nvalid template" in error:  # followed by the value, which may be a password
        fix = "put that value in single quotes: NAME='...'"
        yield problem("Docker Compose can't read .env: a value has a $ that starts no variable.", fix)
    else:
        yield problem(f"Docker Compose can't read this project: {error}.", "correct .env or compose.yaml")


def names_in_env(checkout: Checkout) -> Iterator[Finding]:
    known = set(re.findall(r"^#?([A-Z][A-Z_]*)=", checkout.text(".env.example"), re.MULTILINE))
    counts = Counter(name for name, _ in checkout.env)
    unknown = [name for name in sorted(counts.keys() - known) if not name.startswith(("COMPOSE_", "DOCKER_"))]
    for name in unknown:
        fix = f"{rename_advice(name, known)}remove it; .env.example lists all settings"
        yield problem(f"{name} in .env isn't a setting and has no effect.", fix)
    repeated = sorted(name for name, count in counts.items() if count > 1)
    for name in repeated:
        yield problem(f"{name} is set more than once in .env, and the last value wins.", "remove the others")
    if not unknown and not repeated:
        yield Finding("ok", "names in .env" if counts else ".env: not there or empty, which is fine")


def rename_advice(name: str, known: set[str]) -> str:
    similar = get_close_matches(name.upper(), sorted(known), n=1, cutoff=0.8)
    return f"write {similar[0]} if you mean that, or " if similar else ""


def dollar_signs(checkout: Checkout) -> Iterator[Finding]:
    """Find values that Compose cuts at a $. Never print what follows it: it may be part of a password."""
    command = ("docker", "compose", "config", "--quiet")
    warnings = checkout.host.run(*command, stderr=True).output if checkout.compose and checkout.env else ""
    for variable in sorted(set(re.findall(r'The \\?"(\w+)\\?" variable is not set', warnings))):
        use = re.compile(rf"\$\{{?{variable}(?!\w)")
        for name in sorted({name for name, value in checkout.env if use.search(value)}):
            message = f"Compose takes the text after a $ in {name} in .env for a variable, and drops it."
            yield problem(message, f"put the value in single quotes, {name}='...', or write $$ for each $")


def secret_values(checkout: Checkout) -> Iterator[Finding]:
    """Find secrets that can be guessed. Never print them."""
    key, password, url = (checkout.settings.get(name, "") for name in SECRETS)
    in_url = re.match("[^:]*://[^:/@]*:([^@]*)@", url)
    found = [
        *weakness("SECRET_KEY", key, 32, NEW_KEY),
        *weakness("POSTGRES_PASSWORD", password, 12, NEW_PASSWORD),
        *weakness("The password in DATABASE_URL", in_url[1] if in_url else "", 12, NEW_URL),
    ]
    yield from found or [Finding("ok", "secrets")]


def weakness(name: str, secret: str, length: int, fix: str) -> Iterator[Finding]:
    word = PLACEHOLDER.search(secret)
    if not secret:
        return
    if len(secret) < length:
        yield problem(f"{name} has {len(secret)} characters, and needs at least {length}.", fix)
    elif word:
        yield problem(f'{name} contains "{word[0]}": it is a placeholder or easy to guess.', fix)
    elif len(set(secret)) < 8:
        yield problem(f"{name} has only {len(set(secret))} different characters.", fix)


def migrations_in_code(checkout: Checkout) -> Iterator[Finding]:
    revisions, heads = checkout.migrations
    twice = sorted({revision for revision in revisions if revisions.count(revision) > 1})
    if twice:
        fix = "give one of them a new revision, and set its down_revision to the other"
        yield problem(f"Two migrations have the same revision: {' '.join(twice)}.", fix)
    elif len(heads) > 1:
        fix = "set the down_revision of one to the revision of the other, or run flask db merge heads"
        yield problem(f"The migrations have more than one head: {' '.join(heads)}.", fix)
    else:
        yield Finding("ok", f"migrations in the code: one head, {' '.join(heads)}")
