"""The configuration of the generator that writes the Python client."""

from typing import Any

from tools.client_types import overrides


def test_media_types_of_files_are_read_as_bytes() -> None:
    image: dict[str, Any] = {"image/png": {}, "image/jpeg": {}}
    document = {
        "paths": {
            "/photos/{id}/image": {
                "get": {
                    "responses": {
                        "200": {"content": image},
                        "404": {"content": {"application/problem+json": {}}},
                    }
                },
                "put": {"requestBody": {"content": {"multipart/form-data": {}} | image}},
            },
            "/photos.csv": {"get": {"responses": {"200": {"content": {"text/csv": {}}}}}},
        }
    }

    assert overrides(document) == dict.fromkeys(
        ["image/jpeg", "image/png", "text/csv"], "application/octet-stream"
    )
