"""Schemas of the audit trail."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from app.blueprint.schemas import PageQuery
from kit.data.audit import AuditRow
from kit.security.events import Via
from kit.web.fields import DateTime, Reference
from kit.web.schemas import UNSET, Id, ResponseBody, Text, Time, example, matching, value_of

# Not an enum: the trail also has the events of earlier releases, and of features that are off.
EventName = Annotated[
    str,
    StringConstraints(max_length=64),
    *matching("^[a-z][a-z0-9_]*$", "Give the name of an event, such as login_failed."),
]
Details = dict[str, Any]

EXAMPLE_CHANGE = {
    "id": "3f0b7a0a-2a51-4cf4-9a4f-5d2f52a6f0c1",
    "at": "2026-11-22T09:12:00.104235Z",
    "event": "account_changed_by_admin",
}
EXAMPLE_DETAILS = {"role": ["user", "admin"]}


class AccountEvent(ResponseBody):
    """Something that happened to your account."""

    model_config = example(
        **EXAMPLE_CHANGE,
        by="admin",
        session_id=None,
        key_id=None,
        ip=None,
        user_agent=None,
        details=EXAMPLE_DETAILS,
    )

    id: Id
    at: Time
    event: Text
    by: Literal["you", "admin", "operator", "anonymous"] = Field(
        description="Who did it. `anonymous` means that the request had no token, as at a login. "
        "Of an admin, you see neither the account nor the client."
    )
    session_id: Id | None
    key_id: Id | None
    ip: Text | None
    user_agent: Text | None
    details: Details


class AccountEventList(ResponseBody):
    items: Annotated[list[AccountEvent], Field(max_length=100)]
    next_cursor: Text | None


class AuditEvent(ResponseBody):
    """A row of the audit trail."""

    model_config = example(
        **EXAMPLE_CHANGE,
        user_id="6676cf0e-7e30-437f-adce-39344e766fd4",
        actor_id="0a2be1c5-7b0c-4b1e-8a39-b1b2f0c46ab4",
        via="session",
        session_id="56247f90-940c-4a57-8b3e-62fd45eb7d3d",
        token_id="cff22324-c6ed-43fd-ade7-5bc769dc8d9e",
        key_id=None,
        ip="192.0.2.1",
        user_agent="curl/8.14.1",
        request_id="0b5b4c0e-5d0b-4f8b-9a55-4dc7ff0f7c1c",
        details=EXAMPLE_DETAILS,
    )

    id: Id
    at: Time
    event: Text
    user_id: Id | None = Field(description="The account that it is about.")
    actor_id: Id | None = Field(description="The account that did it, if one was logged in.")
    via: Annotated[str, *value_of(Via)]
    session_id: Id | None
    token_id: Id | None
    key_id: Id | None
    ip: Text | None
    user_agent: Text | None
    request_id: Text | None
    details: Details


class AuditList(ResponseBody):
    items: Annotated[list[AuditEvent], Field(max_length=100)]
    next_cursor: Text | None


class AuditQuery(PageQuery):
    rows = AuditRow
    reads_whole_list = True  # each filter has an index; several read all rows of one

    event: EventName = Field(UNSET, description="Only this event.", examples=["login_failed"])
    user_id: Reference = Field(UNSET, description="Only events about this account.")
    actor_id: Reference = Field(UNSET, description="Only what this account did.")
    at__gte: DateTime = Field(UNSET, description="Only at this time or later.")
    at__lt: DateTime = Field(UNSET, description="Only before this time.")
