"""The .http files, interpreted as their editors do, and sent to the running stack."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

POSTMAN = Path(__file__).parents[2] / "postman"
DYNAMIC: dict[str, Callable[[], str]] = {
    "$guid": lambda: str(uuid4()),
    "$random.uuid": lambda: str(uuid4()),
}
SCRIPT = re.compile(r"\n> {%\n(.*?)%}", re.DOTALL)
SET = re.compile(r'client\.global\.set\("(\w+)", response\.(.+)\);')


@dataclass(frozen=True)
class HttpRequest:
    """A request of a file, with unresolved variables."""

    name: str
    expected: list[int]
    line: str
    headers: list[str]
    body: str
    script: str


def parse(text: str) -> tuple[dict[str, str], list[HttpRequest]]:
    """Return the variables and the requests of a file."""
    top, *blocks = re.split(r"^###.*\n", text, flags=re.MULTILINE)
    variables = dict(re.findall(r"^@(\w+) = (.*)$", top, flags=re.MULTILINE))
    return variables, [parse_request(block) for block in blocks]


def parse_request(block: str) -> HttpRequest:
    script = SCRIPT.search(block)
    head, _, body = SCRIPT.sub("", block).partition("\n\n")
    lines = head.strip().split("\n")
    comments = dict(re.findall(r"^# @?(name|expect) (.*)$", head, flags=re.MULTILINE))
    line, *headers = [line for line in lines if not line.startswith("#")]
    expected = [int(status) for status in comments["expect"].split()]
    return HttpRequest(comments["name"], expected, line, headers, body.strip(), script[1] if script else "")


def value_at(place: str, response: httpx.Response) -> str:
    """Resolve a reference such as body.items[0].id, headers.ETag or headers.valueOf("ETag")."""
    part, _, rest = place.partition(".")
    if part == "headers":
        return response.headers[re.sub(r'valueOf\("(.+)"\)', r"\1", rest)]
    value: Any = response.json()
    for step in re.findall(r"\w+", rest):
        value = value[int(step) if step.isdigit() else step]
    return str(value)


def run(text: str, http: httpx.Client, base_url: str) -> list[str]:
    """Send all requests of a file in order. Return the unexpected responses."""
    variables, requests = parse(text)
    variables["baseUrl"] = base_url
    answers: dict[str, httpx.Response] = {}
    unexpected = []

    def resolve(match: re.Match[str]) -> str:
        if match[1] in DYNAMIC:
            return DYNAMIC[match[1]]()
        name, _, place = match[1].partition(".response.")
        return value_at(place, answers[name]) if place else variables[name]

    for request in requests:
        method, url = re.sub(r"{{(.+?)}}", resolve, request.line).split(" ")
        headers = [re.sub(r"{{(.+?)}}", resolve, header).split(": ", 1) for header in request.headers]
        body = re.sub(r"{{(.+?)}}", resolve, request.body)
        response = http.request(method, url, headers=dict(headers), content=body.encode())
        answers[request.name] = response
        variables |= {name: value_at(place, response) for name, place in SET.findall(request.script)}
        if response.status_code not in request.expected:
            unexpected.append(f"{request.name}: {response.status_code} {response.text}")
    return unexpected


@pytest.mark.parametrize(
    ("name", "api", "fewest"),
    [
        ("flask-api.http", "base_url", 40),
        ("flask-api.jetbrains.http", "base_url", 40),
        ("flask-api.http", "mail_url", 40),
        ("flask-api.email.http", "mail_url", 15),
        ("flask-api.email.jetbrains.http", "mail_url", 15),
    ],
)
def test_the_file_runs_from_top_to_bottom(
    request: pytest.FixtureRequest, name: str, api: str, fewest: int
) -> None:
    text = (POSTMAN / name).read_text(encoding="utf-8")
    base_url = request.getfixturevalue(api)

    with httpx.Client(timeout=60) as http:
        assert run(text, http, base_url) == []
    assert len(parse(text)[1]) > fewest


def test_an_unexpected_status_is_reported(http: httpx.Client, base_url: str) -> None:
    text = (POSTMAN / "flask-api.http").read_text(encoding="utf-8")

    variables = text.partition("### ")[0]
    health = text[text.index("### Check liveness") : text.index("### Get the OpenAPI document")]

    unexpected = run(variables + health.replace("expect 200", "expect 299"), http, base_url)

    assert len(unexpected) == 2
