"""The rows of the audit trail."""

from typing import Any

from flask import Flask
from sqlalchemy import select

from app.database import db
from kit.data.audit import AuditRow


def audit_rows(app: Flask, *events: str) -> list[AuditRow]:
    """Return the rows, the oldest first, or only those of some events."""
    query = select(AuditRow).order_by(AuditRow.at, AuditRow.id)
    with app.app_context():
        return list(db.session.scalars(query.where(AuditRow.event.in_(events)) if events else query))


def add_row(app: Flask, event: str = "logged_in", **fields: Any) -> None:
    with app.app_context():
        db.session.add(AuditRow(event=event, via="anonymous", **fields))
        db.session.commit()
