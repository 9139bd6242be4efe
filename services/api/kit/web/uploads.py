"""Uploads: a view declares which files it takes, and gets a received one in a temporary file.

The file has no name on the disk, so that the system removes it however the request, or the process, ends.
"""

import errno
import logging
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from tempfile import TemporaryFile
from threading import BoundedSemaphore
from typing import IO, Any, NamedTuple, cast
from unicodedata import category, normalize

from flask import Flask, current_app, request
from pydantic import ValidationError
from werkzeug.exceptions import BadRequest, HTTPException, RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio import multipart

from kit.errors import FieldError, Overloaded
from kit.settings import Settings, current
from kit.web.errors import BodyTooLarge, MalformedForm, UnsupportedMediaType, ValidationFailed
from kit.web.schemas import FormFields
from kit.web.validation import field_errors, has_body

logger = logging.getLogger("app.uploads")
CHUNK_BYTES = 65_536  # of a body, read at once
PART_BYTES = 16_384  # the headers of a part, or all form fields together
FORM_BYTES = 65_536  # what the form adds to the file: fields, headers and boundaries
STALLED_SECONDS = 60  # after which gunicorn gives up a client that sends nothing; waitress has its own limits
MAX_PARTS = 32  # files and fields of a form
MULTIPART = "multipart/form-data"
MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")
BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")  # RFC 2046, section 5.1.1
MAX_NAME_LENGTH = 100


@dataclass(frozen=True)
class Upload:
    """Which files a view takes: their media types, and how many bytes one may have.

    Clients send the file alone, or as the part `part` of a form, which may have other `fields`.
    MAX_UPLOAD_BYTES is the most that a view may declare.
    """

    media_types: Sequence[str]
    max_bytes: int
    part: str = "file"
    fields: type[FormFields] | None = None

    def __post_init__(self) -> None:
        wrong = [each for each in self.media_types if not MEDIA_TYPE.fullmatch(each)]
        if wrong or not self.media_types:
            raise TypeError(f"Upload({wrong}): name media types in lower case, such as image/png.")

    @property
    def takes_raw_bodies(self) -> bool:
        """Whether the file may be the whole body. Fields need a form."""
        return self.fields is None


class ReceivedFile(NamedTuple):
    """An uploaded file, at its beginning. It is closed and removed after the view."""

    file: IO[bytes]
    size: int
    media_type: str  # as the client has declared it; nothing checks the content
    name: str  # the last part of the client's name for it, without control characters; can be empty
    sha256: str  # in hexadecimal
    fields: Any = None  # an instance of Upload.fields


def init_app(app: Flask, settings: Settings) -> None:
    # A quarter of the threads, because receiving a file from a slow client takes long.
    app.extensions["upload_slots"] = BoundedSemaphore(max(1, settings.threads // 4))


def takes_uploads(app: Flask) -> Callable[[str, str], bool]:
    """Return a function of method and path: whether the view reads the body itself, while it arrives.

    For servers, which receive and limit the bodies of other views before they call the app.
    """
    views = {name: getattr(view, "declaration", None) for name, view in app.view_functions.items()}
    names = {name for name, declaration in views.items() if declaration and declaration.upload}
    routes = app.url_map.bind("")

    def takes_upload(method: str, path: str) -> bool:
        try:
            return bool(names) and routes.match(path, method)[0] in names
        except HTTPException:  # not found, or another method
            return False

    return takes_upload


@contextmanager
def receive(upload: Upload) -> Iterator[ReceivedFile]:
    """Receive the file of a request.

    Raises UnsupportedMediaType, BodyTooLarge and Overloaded before it reads anything, and later BodyTooLarge,
    MalformedForm, BadRequest if the client stops sending, and ValidationFailed.
    """
    media_type, options = _declared_type(upload)
    is_form = media_type == MULTIPART
    limit = upload.max_bytes + (FORM_BYTES if is_form else 0)
    if (request.content_length or 0) > limit:
        request.environ["app.close"] = True  # gunicorn would read all of it
        raise _too_large(upload)
    with _slot(), TemporaryFile(dir=_folder()) as file, _no_space():
        target = _Target(upload, cast("IO[bytes]", file))
        if is_form:
            received = _receive_form(target, options.get("boundary", ""), limit)
        else:
            for data in _chunks(limit, upload):
                target.write(data)
            received = target.received(media_type)
        file.seek(0)
        yield received


def _declared_type(upload: Upload) -> tuple[str, dict[str, str]]:
    if not has_body():
        raise ValidationFailed([FieldError("Send a file.", "required", "")])
    media_type, options = parse_options_header(request.headers.get("Content-Type", ""))
    taken = {MULTIPART, *(upload.media_types if upload.takes_raw_bodies else ())}
    if media_type.lower() not in taken or request.headers.get("Content-Encoding", "identity") != "identity":
        raise UnsupportedMediaType(f"This operation takes {', '.join(sorted(taken))}.")
    return media_type.lower(), options


@contextmanager
def _slot() -> Iterator[None]:
    slots: BoundedSemaphore = current_app.extensions["upload_slots"]
    if not slots.acquire(blocking=False):
        raise Overloaded
    try:
        yield
    finally:
        slots.release()


@contextmanager
def _no_space() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        logger.exception("there is no space for an uploaded file")
        raise Overloaded from error


def _folder() -> str | None:
    """Return where temporary files go. /tmp is in memory in the containers, so not there if possible."""
    if (folder := current(Settings).storage_folder) is None:
        return None
    with suppress(OSError):  # of an API that stores no files, and may write nothing
        folder.mkdir(parents=True, exist_ok=True)
    return str(folder) if os.access(folder, os.W_OK | os.X_OK) else None


class _Target:
    """A temporary file that is being written."""

    def __init__(self, upload: Upload, file: IO[bytes]) -> None:
        self.upload, self.file = upload, file
        self.size, self.hash = 0, sha256()

    def write(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > self.upload.max_bytes:
            raise _too_large(self.upload)
        self.hash.update(data)
        self.file.write(data)

    def received(self, media_type: str, name: str = "", fields: object = None) -> ReceivedFile:
        if not self.size:
            raise ValidationFailed([FieldError("The file is empty.", "too_short", _pointer(self.upload))])
        return ReceivedFile(self.file, self.size, media_type, name, self.hash.hexdigest(), fields)


def _chunks(limit: int, upload: Upload) -> Iterator[bytes]:
    """Yield the parts of the body as they arrive."""
    stream, total = request.environ["wsgi.input"], 0
    expected = request.content_length
    connection = request.environ.get("gunicorn.socket")
    if connection:
        connection.settimeout(STALLED_SECONDS)
    while expected is None or total < expected:
        try:
            data = stream.read(min(CHUNK_BYTES, CHUNK_BYTES if expected is None else expected - total))
        except Exception as error:  # each server has its own error for a broken chunk or a lost client
            raise BadRequest from error
        total += len(data)
        if not data:
            if expected is not None:
                raise BadRequest
            break
        if total > limit:
            raise _too_large(upload)
        yield data
    if connection:
        connection.settimeout(None)


def _receive_form(target: _Target, boundary: str, limit: int) -> ReceivedFile:
    """Read multipart/form-data (RFC 7578) with werkzeug's decoder, which buffers a chunk at most."""
    if not BOUNDARY.fullmatch(boundary):
        raise MalformedForm
    form = _Form(target)
    decoder = multipart.MultipartDecoder(boundary.encode(), CHUNK_BYTES + PART_BYTES, max_parts=MAX_PARTS)
    for data in _chunks(limit, target.upload):
        form.read(decoder, data)
    form.read(decoder, None)
    return form.received()


class _Form:
    """The received parts of a form: one file, and fields."""

    def __init__(self, target: _Target) -> None:
        self.target = target
        self.upload = target.upload
        self.file: multipart.File | None = None
        self.values: dict[str, bytes] = {}
        self.part: multipart.File | multipart.Field | None = None

    def read(self, decoder: multipart.MultipartDecoder, data: bytes | None) -> None:
        """Read a part of the body. None ends it."""
        try:
            decoder.receive_data(data)
            while not isinstance(event := decoder.next_event(), multipart.NeedData):
                self._take(event)
                if isinstance(event, multipart.Epilogue):
                    break
        except (ValueError, RequestEntityTooLarge) as error:  # no form, or a part with too long headers
            raise MalformedForm from error

    def _take(self, event: multipart.Event) -> None:
        if isinstance(event, multipart.File | multipart.Field):
            self._begin(event)
        elif isinstance(event, multipart.Data) and self.part is self.file and self.file:
            self.target.write(event.data)
        elif isinstance(event, multipart.Data) and self.part:
            self.values[self.part.name] += event.data
            if sum(map(len, self.values.values())) > PART_BYTES:
                raise MalformedForm

    def _begin(self, part: multipart.File | multipart.Field) -> None:
        self.part = part
        if not part.name or part.name in self.values or (self.file and part.name == self.file.name):
            raise MalformedForm("Give each part of the form a different name.")
        if isinstance(part, multipart.Field):
            self.values[part.name] = b""
        elif part.name != self.upload.part:
            raise ValidationFailed([FieldError("Send no file here.", "unknown_field", f"/{part.name[:100]}")])
        else:
            self.file = part
            if (media_type := self._media_type()) not in self.upload.media_types:
                taken = ", ".join(sorted(self.upload.media_types))
                raise UnsupportedMediaType(f"The file is {media_type or 'of an unknown type'}, not {taken}.")

    def _media_type(self) -> str:
        declared = self.file.headers.get("Content-Type", "") if self.file else ""
        media_type = parse_options_header(declared)[0].lower()
        return media_type if MEDIA_TYPE.fullmatch(media_type) else ""

    def received(self) -> ReceivedFile:
        if self.file is None:
            raise ValidationFailed([FieldError("Send a file.", "required", _pointer(self.upload))])
        fields = self._fields()
        return self.target.received(self._media_type(), safe_name(self.file.filename), fields)

    def _fields(self) -> FormFields | None:
        schema = self.upload.fields or FormFields
        try:
            values = {name: value.decode() for name, value in self.values.items()}
            fields = schema.model_validate(values)
        except UnicodeDecodeError as error:
            raise MalformedForm from error
        except ValidationError as error:
            raise ValidationFailed(field_errors(error, "pointer")) from error
        return fields if self.upload.fields else None


def safe_name(given: str) -> str:
    """Return the last part of a client's name for a file, without characters that can't be shown.

    Never use it as a path: store files under your own keys.
    """
    last = re.split(r"[/\\]", normalize("NFC", given))[-1]
    shown = "".join(each for each in last if category(each)[0] not in "CZ" or each == " ")
    return shown.strip(" .")[:MAX_NAME_LENGTH]


def _too_large(upload: Upload) -> BodyTooLarge:
    return BodyTooLarge(f"A file may have at most {upload.max_bytes} bytes here.")


def _pointer(upload: Upload) -> str:
    return f"/{upload.part}"
