"""The floor: the minimal server with which the benchmark compares the API.

It is plain Flask with the API's server and number of threads. A request decodes one JWT and makes one round
trip to PostgreSQL on the thread's connection, without an ORM. It doesn't check sessions, validate bodies,
sign cursors or handle errors.
"""

import os
from datetime import datetime
from pathlib import Path
from threading import local
from typing import Any

import jwt
import psycopg2
from flask import Flask, request
from waitress import serve

DATABASE_URL = Path(os.environ["DATABASE_URL_FILE"]).read_text(encoding="utf-8").strip()
SECRET_KEY = Path(os.environ["SECRET_KEY_FILE"]).read_text(encoding="utf-8").strip()
ACCOUNT = "SELECT id, username, role, created_at, updated_at FROM users WHERE id = %s"
NOTE = "id, body, pinned, created_at, updated_at"
NOTES = f"SELECT {NOTE} FROM notes WHERE owner_id = %s ORDER BY created_at DESC, id DESC LIMIT 21"
NEW_NOTE = (
    "INSERT INTO notes (id, owner_id, body, pinned, created_at, updated_at) "
    f"VALUES (gen_random_uuid(), %s, %s, %s, now(), now()) RETURNING {NOTE}"
)

app = Flask(__name__)
thread = local()


@app.get("/bare")
def bare() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/account")
def account() -> dict[str, str]:
    id, username, role, created_at, updated_at = rows(ACCOUNT, caller())[0]
    return {
        "id": id,
        "username": username,
        "role": role,
        "created_at": in_utc(created_at),
        "updated_at": in_utc(updated_at),
    }


@app.get("/notes")
def notes() -> dict[str, Any]:
    return {"items": [as_json(row) for row in rows(NOTES, caller())[:20]], "next_cursor": None}


@app.post("/notes")
def create() -> tuple[dict[str, Any], int]:
    owner_id, body = caller(), request.get_json()
    return as_json(rows(NEW_NOTE, owner_id, body["body"], body.get("pinned", False))[0]), 201


def caller() -> str:
    token = request.headers["Authorization"].removeprefix("Bearer ")
    claims = jwt.decode(token, SECRET_KEY, algorithms=["HS256"], audience="flask-api", issuer="flask-api")
    return str(claims["sub"])


def rows(statement: str, *values: object) -> list[Any]:
    with connection().cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())


def as_json(note: Any) -> dict[str, Any]:
    id, body, pinned, created_at, updated_at = note
    return {
        "id": id,
        "body": body,
        "pinned": pinned,
        "created_at": in_utc(created_at),
        "updated_at": in_utc(updated_at),
    }


def in_utc(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")


def connection() -> Any:
    if not hasattr(thread, "connection"):
        thread.connection = psycopg2.connect(DATABASE_URL, options="-c timezone=UTC")
        thread.connection.autocommit = True
    return thread.connection


if __name__ == "__main__":
    serve(app, listen="*:5000", threads=int(os.environ.get("THREADS") or 8))
