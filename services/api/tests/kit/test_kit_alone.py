"""The kit works without `app`."""

import json
import subprocess
import sys

from tests.support.paths import API
from tests.support.settings import NEVER_OPENED, SECRET_KEY

CODE = """
import json, sys
from tests.support.hello_api import create_app
client = create_app().test_client()
found = client.get("/hello?name=ann")
again = client.get("/hello?name=ann", headers={"If-None-Match": found.headers["ETag"]})
refused = client.get("/hello?colour=red")
document = client.get("/openapi.json")
loaded = [name for name in sys.modules if name.partition(".")[0] in ("app", "tools")]
statuses = [each.status_code for each in (found, again, refused, document)]
print(json.dumps([found.json, statuses, refused.json["code"], list(document.json["paths"]), loaded]))
"""


def test_a_hello_api_runs_on_the_kit_alone() -> None:
    environment = {"DATABASE_URL": NEVER_OPENED, "SECRET_KEY": SECRET_KEY}

    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=API, env=environment, capture_output=True, text=True, check=True
    )

    hello, statuses, code, paths, loaded = json.loads(done.stdout.splitlines()[-1])
    assert hello == {"hello": "ann"}
    assert statuses == [200, 304, 422, 200]
    assert code == "validation_failed"
    assert paths == ["/hello", "/openapi.json", "/problems", "/problems/{name}"]
    assert loaded == []
