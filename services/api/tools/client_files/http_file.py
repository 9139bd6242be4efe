"""The tour as an .http file, in the two dialects that there are.

They differ in how a request uses an earlier answer: VS Code's REST Client refers to it where it is used,
JetBrains' editors store it in a script behind the request, which the REST Client would send as its body.
"""

import re

from tools.client_files.requests import Document, Request, folders
from tools.client_files.steps import VARIABLES

TOP = """# {title}: a tour, written by `make docs` from what the views declare. Send it from top to bottom.
# This file is for {tool}; {other} is for {other_tool}.
# `baseUrl` has no slash at its end.
# `expect` is the status that comes back; where several are given, it depends on what is in the database.
"""
REST_CLIENT = ("flask-api.http", "VS Code's REST Client")
JETBRAINS = ("flask-api.jetbrains.http", "JetBrains' editors")


def write(document: Document, *, jetbrains: bool = False) -> str:
    """Return the tour in one of the dialects."""
    this, other = (JETBRAINS, REST_CLIENT) if jetbrains else (REST_CLIENT, JETBRAINS)
    text = TOP.format(title=document["info"]["title"], tool=this[1], other=other[0], other_tool=other[1])
    text += "".join(f"@{name} = {value}\n" for name, value in VARIABLES.items())
    references = {"$guid": "$random.uuid"} if jetbrains else {}
    for folder in folders(document):
        for request in folder.requests:
            text += "\n" + _resolve(_block(request), references)
            if jetbrains:
                text += _script(request)
            else:
                stored = request.store.items()
                references |= {name: f"{_name(request)}.response.{place}" for name, place in stored}
    return text


def _block(request: Request) -> str:
    path = re.sub(r"{(\w+)}", lambda match: request.path.get(match[1], "unknown"), request.operation["path"])
    query = "&".join(f"{name}={value}" for name, value in request.query.items())
    headers = {"Authorization": f"Bearer {{{{{request.token}}}}}"} if request.token else {}
    headers |= {"Content-Type": "application/json"} if request.body is not None else {}
    lines = [
        f"### {request.title}",
        f"# @name {_name(request)}",
        *(["# @no-redirect"] if request.statuses[0].startswith("3") else []),
        f"# expect {' '.join(request.statuses)}",
        f"{request.operation['method']} {{{{baseUrl}}}}{path}{'?' if query else ''}{query}",
        *(f"{name}: {value}" for name, value in (headers | request.headers).items()),
        *(["", request.body] if request.body is not None else []),
    ]
    return "\n".join(lines) + "\n"


def _name(request: Request) -> str:
    return re.sub(r"\W+", "_", request.title).strip("_").lower()


def _resolve(text: str, references: dict[str, str]) -> str:
    return re.sub(r"{{([$\w]+)}}", lambda match: f"{{{{{references.get(match[1], match[1])}}}}}", text)


def _script(request: Request) -> str:
    """Return the lines that keep what later requests use, in JetBrains' JavaScript."""
    lines = []
    for name, place in request.store.items():
        part, _, rest = place.partition(".")
        value = f"body.{rest}" if part == "body" else f'headers.valueOf("{rest}")'
        lines.append(f'client.global.set("{name}", response.{value});\n')
    return "".join(["\n> {%\n", *lines, "%}\n"]) if lines else ""
