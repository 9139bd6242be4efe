"""The floor: the minimal server with which the benchmark compares the API.

It is plain Flask with the API's server and number of threads. A request decodes one JWT and makes one round
trip to PostgreSQL on the thread's connection, without an ORM. It doesn't check sessions or handle errors.
"""

import os
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

app = Flask(__name__)
thread = local()


@app.get("/bare")
def bare() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/account")
def account() -> dict[str, str]:
    token = request.headers["Authorization"].removeprefix("Bearer ")
    claims = jwt.decode(token, SECRET_KEY, algorithms=["HS256"], audience="flask-api", issuer="flask-api")
    with connection().cursor() as cursor:
        cursor.execute(ACCOUNT, (claims["sub"],))
        id, username, role, created_at, updated_at = cursor.fetchone()
    return {
        "id": id,
        "username": username,
        "role": role,
        "created_at": created_at.isoformat().replace("+00:00", "Z"),
        "updated_at": updated_at.isoformat().replace("+00:00", "Z"),
    }


def connection() -> Any:
    if not hasattr(thread, "connection"):
        thread.connection = psycopg2.connect(DATABASE_URL, options="-c timezone=UTC")
        thread.connection.autocommit = True
    return thread.connection


if __name__ == "__main__":
    serve(app, listen="*:5000", threads=int(os.environ.get("THREADS") or 8))
