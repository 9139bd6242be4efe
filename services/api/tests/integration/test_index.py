"""GET /."""

import pytest
from flask.testing import FlaskClient

from app.config import VERSION


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "text/html;q=0.1, */*"])
def test_the_index_lists_the_entry_points(client: FlaskClient, accept: str | None) -> None:
    response = client.get("/", headers={"Accept": accept} if accept else {})

    assert response.json == {
        "name": "flask-api",
        "version": VERSION,
        "documentation": "/docs",
        "openapi": "/openapi.json",
        "health": "/health/ready",
    }
    assert response.headers["Vary"] == "Accept"


def test_a_browser_is_redirected_to_the_documentation(client: FlaskClient) -> None:
    response = client.get("/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})

    assert (response.status_code, response.headers["Location"]) == (302, "/docs")
    assert response.headers["Vary"] == "Accept"
