"""Accounts, and rows from the factories in tests/factories."""

from collections.abc import Mapping, Sequence
from graphlib import TopologicalSorter
from importlib import import_module
from itertools import count as counting
from typing import Any

from flask import Flask
from sqlalchemy import func, select

from app.authentication import passwords
from app.database import db, model
from app.model.models import Role
from app.model.user_repository import UserRepository
from kit.data.base import Base
from kit.errors import AlreadyExists
from tests.support.people import Person
from tools.scaffold.resource import Resource
from tools.scaffold.tree import Tree

PASSWORD = "correct horse battery staple"  # of every account, on a developer's machine only
ACCOUNTS = (("ada", Role.ADMIN), ("ann", Role.USER), ("bob", Role.USER), ("cleo", Role.USER))


class Seeded:
    """A generated resource with its model and its factory."""

    def __init__(self, resource: Resource) -> None:
        self.resource = resource
        self.name, self.path = resource.name, resource.path
        self.model = _model(resource.class_name)
        self.factory: Any = import_module(f"tests.factories.{resource.name}")


def _model(class_name: str) -> type[Base]:
    return next(each for each in model.MODELS if each.__name__ == class_name)


def in_order(tree: Tree) -> list[Seeded]:
    """Return the generated resources, each after those that it refers to."""
    resources = {name: tree.record(name).resource for name in tree.made()}
    graph = {
        name: {field.target for field in resource.references} & resources.keys() - {name}
        for name, resource in resources.items()
    }
    return [Seeded(resources[name]) for name in TopologicalSorter(graph).static_order()]


def add_accounts(app: Flask) -> tuple[list[Person], list[tuple[str, Role]]]:
    """Return the accounts of the seeds, and those that had to be created, with their roles."""
    users = UserRepository(db.session)
    new = [(name, role) for name, role in ACCOUNTS if users.find_by_username(name) is None]
    hashed = passwords().hash(PASSWORD)
    for name, role in new:
        users.register(name, hashed, role)
    found = [users.find_by_username(name) for name, _ in ACCOUNTS]
    people = [Person(app.test_client(), user.username, str(user.id), "", "", "") for user in found if user]
    db.session.commit()
    return people, new


def add_rows(
    seeded: Seeded, accounts: Sequence[Person], ids: Mapping[str, list[str]], count: int
) -> list[str]:
    """Add rows that belong to each account in turn, and refer to each row in turn. Return their ids.

    A row whose unique values are taken is left out.
    """
    existing = db.session.scalar(select(func.count()).select_from(seeded.model)) or 0
    db.session.rollback()  # SQLite has one writer, and the factories commit  # part: sqlite
    if hasattr(seeded.factory, "numbers"):
        seeded.factory.numbers = counting(existing + 1)
    added = []
    for place in range(count):
        references = {
            field.column_name: ids[field.target][place % len(ids[field.target])]
            for field in seeded.resource.references
            if ids.get(field.target)
        }
        try:
            row = seeded.factory.add(accounts[place % len(accounts)], **references)
        except AlreadyExists:
            continue
        added.append(str(row["id"]))
    return added
