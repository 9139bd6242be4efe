"""An app that takes uploads: `tests.support.uploads_app:create_app()`."""

from flask import Blueprint, Flask, jsonify
from flask.typing import ResponseReturnValue

from app import create_app as create
from app.authentication import ACCESS_TOKEN, Caller
from app.config import Settings
from app.database import db
from kit.web.endpoint import endpoint
from kit.web.schemas import FormFields, ResponseBody, Text
from kit.web.uploads import ReceivedFile, Upload

MAX_BYTES = 4_000_000
blueprint = Blueprint("pictures", __name__)


class Picture(ResponseBody):
    size: int
    media_type: Text
    name: Text
    sha256: Text
    owner: Text = ""
    title: Text = ""


class PictureFields(FormFields):
    title: Text
    copies: int = 1


def create_app(settings: Settings | None = None) -> Flask:
    app = create(settings)
    app.register_blueprint(blueprint)
    app.add_url_rule("/pictures/state", view_func=show_state)
    return app


@blueprint.post("/pictures")
@endpoint(auth=ACCESS_TOKEN, scope="pictures:write", upload=Upload(["image/png"], MAX_BYTES), returns=Picture)
def add(caller: Caller, upload: ReceivedFile) -> Picture:
    """Add a picture."""
    assert len(upload.file.read()) == upload.size
    if upload.name == "fail.png":
        raise RuntimeError("a bug in the view")
    values = {name: getattr(upload, name) for name in ("size", "media_type", "name", "sha256")}
    return Picture(**values, owner=caller.user.username)


@blueprint.post("/pictures/forms")
@endpoint(upload=Upload(["image/png"], 100_000, part="picture", fields=PictureFields), returns=Picture)
def add_with_fields(upload: ReceivedFile) -> Picture:
    """Add a picture with a title."""
    values = {name: getattr(upload, name) for name in ("size", "media_type", "name", "sha256")}
    return Picture(**values, title=f"{upload.fields.title} x{upload.fields.copies}")


@blueprint.post("/pictures/large")
@endpoint(upload=Upload(["application/octet-stream"], 200_000_000), returns=Picture)
def add_large(upload: ReceivedFile) -> Picture:
    """Add a large file."""
    return Picture(size=upload.size, media_type=upload.media_type, name="", sha256=upload.sha256)


def show_state() -> ResponseReturnValue:
    """Show the connections in use."""
    db.session.remove()
    in_use = sum(engine.pool.checkedout() for engine in db.engines.values())  # type: ignore[attr-defined]
    return jsonify(in_use=in_use)
