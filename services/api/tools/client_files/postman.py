"""The scenario as a Postman collection (format 2.1) and environment. Ids are derived from names."""

import json
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from werkzeug.http import HTTP_STATUS_CODES

from tools.client_files.requests import Document, Folder, Operation, Request, folders, variables
from tools.client_files.steps import VARIABLES

SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
# Runs before each request. A local variable hides the one of the environment.
TRIM_BASE_URL = r"""pm.variables.set("baseUrl", pm.variables.get("baseUrl").trim().replace(/\/+$/, ""));"""
# Runs after each request. After a 429, the following requests would fail too.
STOP_AT_A_LIMIT = """if (pm.response.code === 429) {
  const path = pm.request.url.getPath();
  const login = "LOGIN_LIMIT_PAIR, LOGIN_LIMIT_CLIENT, LOGIN_LIMIT_ACCOUNT or LOGIN_LIMIT_SUCCESS";
  const limits = {"/auth/register": "REGISTER_LIMIT", "/auth/login": login, "/account": login,
    "/auth/step-up": login, "/account/second-factor": login};
  const mails = ["/account/email", "/account/email/verification", "/auth/password-reset"];
  mails.forEach((mailed) => limits[mailed] = "MAIL_LIMIT_CLIENT");
  const reached = path in limits ? `${limits[path]} (or RATE_LIMIT)` : "RATE_LIMIT";
  const seconds = pm.response.headers.get("Retry-After");
  pm.execution.setNextRequest(null);
  pm.test("The API's limits allow this request", () => pm.expect.fail(
    `The limit ${reached} is reached. Wait ${seconds} seconds and run the collection again, or ` +
    "switch the limit off for the API (see .env.example) and restart it."
  ));
}"""
# Runs after each request of a collection with optional folders.
REMEMBER_TAGS = """if (pm.response.code === 200 && pm.request.url.getPath().endsWith("/openapi.json")) {
  pm.environment.set("tags", pm.response.json().tags.map((tag) => tag.name).join(" "));
}"""
# Runs before each request of an optional folder. Until the document was requested, nothing is skipped.
SKIP_UNKNOWN_TAG = """const tags = (pm.environment.get("tags") || "TAG").split(" ");
if (!tags.includes("TAG")) pm.execution.skipRequest();"""
# Follows `documented`: the expected statuses, each with its required headers and schema.
CHECKS = """const answer = documented[pm.response.code] || {headers: []};
pm.test("The status is one of " + Object.keys(documented), () => {
  pm.expect(documented).to.have.property(String(pm.response.code));
});
pm.test("The headers are present", () => answer.headers.forEach((name) => pm.response.to.have.header(name)));
pm.test("The body matches the schema", () => {
  if (!answer.schema) return pm.expect(pm.response.text()).to.equal("");
  const components = JSON.parse(pm.collectionVariables.get("components"));
  pm.expect(pm.response.headers.get("Content-Type")).to.equal(answer.type);
  pm.response.to.have.jsonSchema({allOf: [answer.schema], components});
});"""


def collection(document: Document, full: Document | None = None) -> dict[str, Any]:
    """Return the collection: a folder for each tag, with a folder for requests that its operations refuse.

    `full` is the document of the same API with its optional features. Their folders are skipped if the API's
    document doesn't have their tag, so the collection fits the API with and without them.
    """
    full = full or document
    tour = folders(document, full)
    name = document["info"]["title"]
    has_options = any(folder.is_optional for folder in tour)
    after = f"{REMEMBER_TAGS}\n{STOP_AT_A_LIMIT}" if has_options else STOP_AT_A_LIMIT
    return {
        "info": {
            "_postman_id": _id(name),
            "name": name,
            "description": document["info"]["description"],
            "schema": SCHEMA,
        },
        "event": [_script("prerequest", TRIM_BASE_URL, name), _script("test", after, name)],
        "item": [_folder(folder, full if folder.is_optional else document) for folder in tour],
        "protocolProfileBehavior": {"followRedirects": False},
        "variable": [
            {"key": "baseUrl", "value": VARIABLES["baseUrl"]},
            # The tests resolve their $refs in it.
            {"key": "components", "value": json.dumps(_components(document, full), ensure_ascii=False)},
        ],
    }


def _components(document: Document, full: Document) -> dict[str, Any]:
    """Return the schemas of both documents. Fields that only an optional feature adds aren't required."""
    schemas = dict(document["components"]["schemas"])
    for name, schema in full["components"]["schemas"].items():
        required = schemas.get(name, schema).get("required", [])
        schemas[name] = schema | ({"required": required} if "required" in schema else {})
    return {"schemas": schemas}


def environment(document: Document, full: Document | None = None) -> dict[str, Any]:
    """Return the environment: the initial variables, and empty ones for values that requests store."""
    name = f"{document['info']['title']} (local)"
    tour = folders(document, full)
    stored = {name for folder in tour for request in folder.requests for name in request.store}
    values = variables(tour) | dict.fromkeys(sorted(stored), "")
    return {
        "id": _id(name),
        "name": name,
        "values": [
            {"key": key, "value": value, "type": "secret" if _is_secret(key) else "default", "enabled": True}
            for key, value in values.items()
        ],
        "_postman_variable_scope": "environment",
    }


def _is_secret(name: str) -> bool:
    return name.endswith(("_token", "password"))


def _folder(folder: Folder, document: Document) -> dict[str, Any]:
    shown: set[str] = set()  # operations whose examples are saved with an earlier request of this folder
    items = [_item(request, folder.name, document, shown) for request in folder.requests]
    if folder.refusals:
        name = f"{folder.name}: refused requests"
        shown |= {request.operation["operationId"] for request in folder.refusals}
        refusals = [_item(request, folder.name, document, shown) for request in folder.refusals]
        items.append({"id": _id(name), "name": name, "item": refusals})
    item = {"id": _id(folder.name), "name": folder.name, "description": folder.description, "item": items}
    if folder.is_optional:
        skip = SKIP_UNKNOWN_TAG.replace("TAG", folder.name)
        item["event"] = [_script("prerequest", skip, folder.name, "folder")]
    return item


def _item(request: Request, folder: str, document: Document, shown: set[str]) -> dict[str, Any]:
    sent = _sent(request)
    operation = request.operation
    examples = []
    if folder in operation["tags"] and operation["operationId"] not in shown:
        shown.add(operation["operationId"])
        examples = _examples(operation, sent, document)
    return {
        "id": _id(folder, request.title),
        "name": request.title,
        "event": [_script("test", _tests(request), folder, request.title)],
        "request": sent,
        "response": examples,
    }


def _script(event: str, code: str, *names: str) -> dict[str, Any]:
    script = {"id": _id(*names, event), "type": "text/javascript", "exec": code.split("\n")}
    return {"listen": event, "script": script}


def _sent(request: Request) -> dict[str, Any]:
    headers = ({"Content-Type": "application/json"} if request.body is not None else {}) | request.headers
    auth: dict[str, Any] = {"type": "noauth"}
    if request.token:
        token = {"key": "token", "value": f"{{{{{request.token}}}}}", "type": "string"}
        auth = {"type": "bearer", "bearer": [token]}
    sent = {
        "description": request.operation["description"],
        "method": request.operation["method"],
        "auth": auth,
        "header": [{"key": key, "value": value} for key, value in headers.items()],
        "url": _url(request),
    }
    if request.body is not None:
        sent["body"] = {"mode": "raw", "raw": request.body, "options": {"raw": {"language": "json"}}}
    return sent


def _url(request: Request) -> dict[str, Any]:
    """Return the URL in parts. Unused parameters are listed but disabled."""
    path = request.operation["path"].replace("{", ":").replace("}", "")
    parameters = request.operation["parameters"]
    query: list[dict[str, Any]] = [{"key": key, "value": value} for key, value in request.query.items()]
    raw = "&".join(f"{each['key']}={each['value']}" for each in query)
    query += [
        {
            "key": each["name"],
            "value": str(each["schema"].get("examples", [""])[0]),
            "description": each["description"],
            "disabled": True,
        }
        for each in parameters
        if each["in"] == "query" and each["name"] not in request.query
    ]
    variables = [
        {
            "key": each["name"],
            "value": request.path.get(each["name"], "unknown"),
            "description": each["description"],
        }
        for each in parameters
        if each["in"] == "path"
    ]
    return {
        "raw": f"{{{{baseUrl}}}}{path}{'?' if raw else ''}{raw}",
        "host": ["{{baseUrl}}"],
        "path": path[1:].split("/"),
        "query": query,
        "variable": variables,
    }


def _tests(request: Request) -> str:
    responses = request.operation["responses"]
    documented = {status: _documented(responses[status]) for status in request.statuses}
    lines = [f"const documented = {json.dumps(documented)};", CHECKS]
    if request.code:
        check = f'pm.expect(pm.response.json().code).to.equal("{request.code}")'
        lines.append(f'pm.test("The code is {request.code}", () => {check});')
    for name, place in request.store.items():
        part, _, rest = place.partition(".")
        value = f"json().{rest}" if part == "body" else f'headers.get("{rest}")'
        lines.append(f'pm.environment.set("{name}", pm.response.{value});')
    return "\n".join(["if (pm.response.code !== 429) {", *lines, "}"])


def _documented(response: dict[str, Any]) -> dict[str, Any]:
    known: dict[str, Any] = {"headers": list(response["headers"])}
    for media_type, content in response.get("content", {}).items():
        known |= {"type": media_type, "schema": content["schema"]}
    return known


def _examples(operation: Operation, sent: dict[str, Any], document: Document) -> list[dict[str, Any]]:
    """Return every documented response of an operation, one for each problem."""
    examples = []
    for status, response in operation["responses"].items():
        phrase = HTTP_STATUS_CODES[int(status)]  # werkzeug's, because Python's differ between versions
        headers = {
            name: str(document["components"]["headers"][name]["example"]) for name in response["headers"]
        }
        bodies: dict[str, Any] = {phrase: None}
        for media_type, content in response.get("content", {}).items():
            headers["Content-Type"] = media_type
            bodies = {phrase: content.get("example")}
            if "examples" in content:
                bodies = {
                    code: document["components"]["examples"][code]["value"] for code in content["examples"]
                }
        for name, body in bodies.items():
            examples.append(
                {
                    "id": _id(operation["operationId"], status, name),
                    "name": f"{status} {name}",
                    "originalRequest": {key: sent[key] for key in sent if key not in ("auth", "description")},
                    "status": phrase,
                    "code": int(status),
                    "_postman_previewlanguage": "json",
                    "header": [{"key": key, "value": value} for key, value in headers.items()],
                    "cookie": [],
                    "body": "" if body is None else json.dumps(body, indent=2, ensure_ascii=False),
                }
            )
    return examples


def _id(*names: str) -> str:
    return str(uuid5(NAMESPACE_OID, "/".join(names)))
