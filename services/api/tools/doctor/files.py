"""Checks of the files: line endings, Compose files, .env, secrets, migrations."""

import os
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
    if ".env: " in error:
        what, fix = explain_env(error, checkout)
        yield problem(f"Docker Compose can't read .env: {what}.", fix)
    else:
        yield problem(f"Docker Compose can't read this project: {error}.", "correct .env or compose.yaml")


def explain_env(error: str, checkout: Checkout) -> tuple[str, str]:
    """Explain an error of Compose without its text, which contains a value: it may be a password."""
    if "nvalid template" in error:
        return "a value has a $ that starts no variable", "put that value in single quotes: NAME='...'"
    if "unterminated" in error:
        names = [each.name for each in checkout.env if each.value.startswith(("'", '"'))]
        fix = "close it, or put the other kind of quote around a value that contains one"
        return f"the quote before the value of {' or '.join(names)} isn't closed", fix
    line = re.search(r"line \d+", error)
    return f"{line[0] if line else 'a line'} isn't NAME=value", "correct it, and save the file as UTF-8"


def names_in_env(checkout: Checkout) -> Iterator[Finding]:
    known = set(re.findall(r"^#?([A-Z][A-Z_]*)=", checkout.text(".env.example"), re.MULTILINE))
    counts = Counter(each.name for each in checkout.env)
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
    unset = unset_variables(checkout)
    for name in sorted({each.name for each in checkout.env if each.references.keys() & unset}):
        message = f"Compose takes the text after a $ in {name} in .env for a variable, and drops it."
        yield problem(message, f"put the value in single quotes, {name}='...', or write $$ for each $")


def unset_variables(checkout: Checkout) -> set[str]:
    """Return the unset variables that .env refers to. Without Compose, look for them here."""
    if checkout.compose:
        command = ("docker", "compose", "config", "--quiet")
        warnings = checkout.host.run(*command, stderr=True).output if checkout.env else ""
        return set(re.findall(r'The \\?"(\w+)\\?" variable is not set', warnings))
    without_default = {
        name for each in checkout.env for name, value in each.references.items() if value is None
    }
    return without_default - {each.name for each in checkout.env} - os.environ.keys()


def quotes_and_signs(checkout: Checkout) -> Iterator[Finding]:
    """Find lines of .env that are read in different ways."""
    for each in checkout.env:
        if each.rest:
            fix = f"put quotes around the whole value, of the kind that it doesn't contain: {each.name}='...'"
            yield problem(f"Compose drops the text after the closing quote of {each.name} in .env.", fix)
        if each.sign != "=":
            message = f"Compose reads {each.name} in .env, but scripts such as scripts/stack-deploy don't."
            yield Finding("note", message, f"write {each.name}=value, without spaces around the =")
    if checkout.text(".env").startswith("\ufeff"):
        message = "The file .env begins with a byte order mark, and the scripts ignore its first line."
        yield Finding("note", message, "save it as UTF-8 without BOM")


def proxy_in_front(checkout: Checkout) -> Iterator[Finding]:
    proxy = checkout.compose["services"].get("proxy", {}) if checkout.compose else {}
    given = proxy.get("environment", {})
    if given.get("SITE_TLS") == "off" and not given.get("TRUSTED_PROXIES"):
        message = "SITE_TLS=off without TRUSTED_PROXIES: all clients have the address of the proxy in front."
        yield problem(message, "set TRUSTED_PROXIES to that address, so that each client has its own limits")


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
