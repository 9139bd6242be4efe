"""The source tree that the scaffolder changes: files of a resource, lists that name it, and migrations."""

import dataclasses
import json
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from threading import current_thread, main_thread

from alembic.script import ScriptDirectory

from kit.data.migrations import commands as migrations
from tools.scaffold import registration, ruff
from tools.scaffold.includes import allowed_includes
from tools.scaffold.many import association_table, parse_many, refuse_conflicts
from tools.scaffold.parents import ParentList, parent_lists
from tools.scaffold.permissions import matrix_rows
from tools.scaffold.render import render
from tools.scaffold.resource import Field, Many, Resource, ScaffoldError, leads_to, parse_fields
from tools.scaffold.shadowing import PREFIX, stand_in_of, stand_ins_of_tables, without_shadowing
from tools.scaffold.views import ResourceView

TEMPLATE_OF = {
    "app/model/{name}.py": "model.py",
    "app/model/{name}_repository.py": "repository.py",
    "app/blueprint/{name}_schemas.py": "schemas.py",
    "app/blueprint/{name}.py": "blueprint.py",
    "tests/factories/{name}.py": "factory.py",
    "tests/integration/test_{name}.py": "test.py",
}
RECORD = "tools/scaffold/made/{name}.json"


@dataclass(frozen=True)
class Record:
    """A generated resource, stored so that the scaffolder can change or remove it later."""

    resource: Resource
    files: dict[str, str]  # path: SHA-256 of its generated content
    migrations: list[str]  # their revisions
    present: dict[str, list[str]] = dataclasses.field(default_factory=dict)  # path: lines that it had before


class Tree:
    """The folder services/api of a checkout."""

    def __init__(self, api: Path) -> None:
        self.api = api
        self._texts: dict[Resource, dict[str, str]] = {}
        self.postman = api.parent.parent / "postman"  # parents[1] fails for /app, as in the container

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """Restore every file if the block fails, or if the process is stopped meanwhile."""
        folders = [self.api / name for name in ("app", "migrations", "tools/scaffold/made", "tests")] + [
            self.postman
        ]
        before = {file: file.read_bytes() for file in _files(*folders)}
        try:
            with _stops_as_exceptions():
                yield
        except BaseException:
            for file in _files(*folders):
                if file not in before:
                    file.unlink()
            for file, content in before.items():
                if not file.exists() or file.read_bytes() != content:
                    file.write_bytes(content)
            raise

    def paths(self, resource: Resource) -> dict[str, str]:
        """Return the paths of a resource's files, each with its template."""
        return {path.format(name=resource.name): template for path, template in TEMPLATE_OF.items()}

    def record(self, name: str) -> Record:
        file = self.api / RECORD.format(name=name)
        if not file.exists():
            made = ", ".join(self.made()) or "none"
            raise ScaffoldError(f"No generated resource is named {name!r}. Generated resources: {made}.")
        kept = json.loads(file.read_text(encoding="utf-8"))
        fields = parse_fields(kept["fields"], kept["plural"])
        resource = Resource(
            name,
            kept["plural"],
            kept["access"],
            kept["requires_match"],
            fields,
            kept.get("audited", False),
            has_csv=kept.get("csv", False),
            uniques=tuple(map(tuple, kept.get("unique", ()))),
            indexes=tuple(map(tuple, kept.get("indexes", ()))),
            soft_delete=kept.get("soft_delete", False),
        )
        many = tuple(parse_many(spec) for spec in kept.get("many", ()))
        resource = replace(resource, many=many, includes=tuple(kept.get("includes", ())))
        return Record(resource, kept["files"], kept["migrations"], kept.get("present", {}))

    def made(self) -> list[str]:
        return sorted(file.stem for file in (self.api / "tools/scaffold/made").glob("*.json"))

    def tables(self) -> dict[str, str]:
        """Return the tables that a `ref` can refer to, by the name of their resource."""
        return {"user": "users"} | {name: self.record(name).resource.plural for name in self.made()}

    def refuse_taken_files(self, resource: Resource) -> None:
        taken = [path for path in self.paths(resource) if (self.api / path).exists()]
        if taken:
            raise ScaffoldError(f"{taken[0]} already exists. Choose another name.")

    def refuse_references(self, resource: Resource) -> None:
        """Raise ScaffoldError for a reference to an unknown resource, or to one whose rows are private.

        Also for one that would prevent the deletion of an account, or that no first row could have.
        """
        tables = self.tables() | {resource.name: resource.plural}
        known = {name: self.record(name).resource for name in self.made()} | {resource.name: resource}
        for field in resource.relationships:
            if field.target not in tables:
                raise ScaffoldError(
                    f"{field.spec!r}: unknown resource {field.target!r}. Scaffold it first, or use one of "
                    f"{', '.join(tables)}."
                )
            if field.target != "user" and known[field.target].is_owned:
                raise ScaffoldError(
                    f"{field.spec!r}: each {field.target} belongs to one user, and generated code "
                    "doesn't check its owner. Write this field by hand, with such a check."
                )
            if isinstance(field, Field) and field.target == resource.name and field.is_required:
                raise ScaffoldError(_needs_itself(resource, field))
        for field in _needed(resource):
            is_other = field.target != resource.name
            if is_other and leads_to(field.target, resource.name, known, _needed_targets):
                raise ScaffoldError(_in_a_circle(resource, field))
        deleted = _deleted_with_accounts(known.values())
        others = [each for name, each in known.items() if name != resource.name]
        for each in (resource, *others):
            for field in each.references:
                if field.target in deleted and field.on_delete == "RESTRICT":
                    raise ScaffoldError(_prevents_deletion(each, field))
        _refuse_two_meanings(known)

    def refuse_many(self, resource: Resource, new: Iterable[Many], taken_tables: Iterable[str]) -> None:
        """Raise ScaffoldError if new many-to-many relationships can't have their names."""
        refuse_conflicts(resource, self.tables() | {resource.name: resource.plural})
        for many in new:
            if (table := association_table(resource, many)) in {*taken_tables, resource.plural}:
                raise ScaffoldError(f"{many.spec!r}: a table {table!r} already exists. Rename the field.")

    def includes(self, resource: Resource) -> tuple[str, ...]:
        """Return the relationships that clients may include in the responses of a resource."""
        return allowed_includes(resource, {name: self.record(name).resource for name in self.made()})

    def refuse_if_referenced(self, name: str) -> None:
        for other in sorted(set(self.made()) - {name}):
            resource = self.record(other).resource
            if any(field.target == name for field in resource.relationships):
                raise ScaffoldError(f"{other} refers to {name}. Remove {other} first.")

    def changed(self, record: Record) -> list[str]:
        """Return the files that were edited after they were generated."""
        return [path for path, digest in record.files.items() if _digest(self.api / path) != digest]

    def view(self, resource: Resource) -> ResourceView:
        return ResourceView(
            resource,
            self.tables() | {resource.name: resource.plural},
            self.parent_lists(resource),
            self.soft(resource),
        )

    def parent_lists(self, resource: Resource) -> list[ParentList]:
        return parent_lists(resource, {name: self.record(name).resource for name in self.made()})

    def texts(self, resource: Resource) -> dict[str, str]:
        """Return the content of each file of a resource."""
        if resource not in self._texts:
            stand_ins = self.stand_in_texts(resource)
            self._texts[resource] = {
                path: without_shadowing(path, text, stand_ins[path])
                for path, text in self.plain_texts(resource).items()
            }
        return self._texts[resource]

    def plain_texts(self, resource: Resource) -> dict[str, str]:
        """Return the content of each file, where a name may mean two things."""
        view = self.view(resource)
        return {path: render(template, r=view) for path, template in self.paths(resource).items()}

    def stand_in_texts(self, resource: Resource) -> dict[str, str]:
        """Return the content of each file for a resource with names that nothing else uses."""
        stand_in = stand_in_of(resource)
        tables = stand_ins_of_tables(self.tables() | {resource.name: resource.plural})
        soft = self.soft(resource)
        others = {PREFIX + name: stand_in_of(self.record(name).resource) for name in self.made()}
        lists = parent_lists(stand_in, others)
        view = ResourceView(stand_in, tables, lists, soft | {PREFIX + name for name in soft})
        return {path: render(template, r=view) for path, template in self.paths(resource).items()}

    def soft(self, resource: Resource) -> set[str]:
        """Return the resources whose deleted rows stay in the table."""
        others = [self.record(name).resource for name in self.made() if name != resource.name]
        return {each.name for each in (*others, resource) if each.soft_delete}

    def generated(self, resource: Resource) -> dict[str, str]:
        """Return the content of each file of a resource, as `scaffold` writes it."""
        return ruff.formatted(self.api, self.texts(resource))

    def read(self, path: str) -> str:
        """Return the text of a file with its own line breaks."""
        return (self.api / path).read_bytes().decode()

    def write(self, texts: Mapping[str, str]) -> None:
        for path, text in texts.items():
            (self.api / path).write_bytes(text.encode())

    def register(self, resource: Resource) -> registration.Registration:
        """Add the resource to the lists of blueprints, models and events, and to tests/authorization.md.

        Returns the remaining steps.
        """
        return self._change_lists(
            registration.registered(resource, self.rows(resource), self._lists(resource))
        )

    def unregister(self, record: Record) -> registration.Registration:
        return self._change_lists(self.without(record))

    def without(self, record: Record) -> registration.Registration:
        """Return the lists without the resource."""
        resource = record.resource
        lists = self._lists(resource)
        return registration.unregistered(resource, self.rows(resource), lists, record.present)

    def register_routes(self, record: Record, resource: Resource) -> dict[str, list[str]]:
        """Add the routes that a change gives the resource to tests/authorization.md.

        Returns the lines of all lists that were there before the resource.
        """
        table = registration.TABLE
        text, rows = self.read(table), self.rows(resource)
        own = registration.routes(text, self.rows(record.resource))

        def gained(callers: Sequence[str]) -> list[str]:
            return [row for row in rows(callers) if registration.route_of(row) not in own]

        merged = registration.with_rows(text, gained)
        self.write({table: merged.text})
        kept = [*record.present.get(table, []), *merged.present]
        return record.present | ({table: kept} if kept else {})

    def rows(self, resource: Resource) -> registration.Rows:
        """Return the function that makes the resource's rows for tests/authorization.md."""
        lists = self.parent_lists(resource)
        return lambda callers: matrix_rows(resource, lists, callers)

    def _change_lists(self, changed: registration.Registration) -> registration.Registration:
        for path, text in changed.texts.items():
            self.write({path: ruff.tidied(self.api, path, self.read(path), text)})
        return changed

    def _lists(self, resource: Resource) -> dict[str, str]:
        return {path: self.read(path) for path in registration.paths(resource)}

    def keep_record(
        self,
        resource: Resource,
        migrations: list[str],
        edited: Mapping[str, str] | None = None,
        present: Mapping[str, list[str]] | None = None,
    ) -> None:
        """Store the record. `edited` has the digests that the files with edits would have without them."""
        path = RECORD.format(name=resource.name)
        scripts = [self.migration_path(revision) for revision in migrations]
        files = {each: _digest(self.api / each) for each in [*self.paths(resource), *scripts]}
        kept = {
            "plural": resource.plural,
            "access": resource.access,
            "requires_match": resource.requires_match,
            "audited": resource.is_audited,
            "csv": resource.has_csv,
            "unique": resource.uniques,
            "soft_delete": resource.soft_delete,
            "fields": [field.spec for field in resource.fields],
            "many": [many.spec for many in resource.many],
            "includes": list(resource.includes),
            "indexes": resource.indexes,
            "migrations": migrations,
            "files": files | dict(edited or {}),
        }
        if present:
            kept["present"] = dict(present)
        (self.api / path).parent.mkdir(exist_ok=True)
        self.write({path: json.dumps(kept, indent=2) + "\n"})

    def remove(self, paths: Iterable[str]) -> None:
        for path in paths:
            (self.api / path).unlink(missing_ok=True)

    def format(self, paths: Iterable[str]) -> None:
        """Format the files, sort their imports, and remove imports that this resource doesn't use."""
        ruff.format_files(self.api, [path for path in paths if path.endswith(".py")])

    def write_documents(self) -> None:
        """Update postman/ in another process, because this one has imported the old views."""
        command = [sys.executable, "-m", "tools.client_files.documents", str(self.postman)]
        subprocess.run(command, cwd=self.api, check=True)  # noqa: S603

    def scripts(self) -> ScriptDirectory:
        return ScriptDirectory(str(self.api / "migrations"))

    def head(self) -> str:
        heads = self.scripts().get_heads()
        if len(heads) != 1:
            raise ScaffoldError(
                "The migrations have more than one head. Merge them first: `flask db merge heads`."
            )
        return heads[0]

    def next_revision(self) -> str:
        return migrations.next_revision(self.scripts())

    def migration_path(self, revision: str) -> str:
        script = self.scripts().get_revision(revision)
        return str(Path(script.path).relative_to(self.api)) if script else ""


def _deleted_with_accounts(resources: Iterable[Resource]) -> set[str]:
    """Return the resources with rows that the deletion of an account deletes, and `user` itself."""
    deleted = {"user"}
    while added := {
        each.name
        for each in resources
        if each.name not in deleted
        and (each.has_owner or any(_cascades_from(deleted, field) for field in each.references))
    }:
        deleted |= added
    return deleted


def _cascades_from(targets: set[str], field: Field) -> bool:
    return field.target in targets and field.on_delete == "CASCADE"


def _prevents_deletion(resource: Resource, field: Field) -> str:
    because = "" if field.target == "user" else f", because each {field.target} can be deleted with it"
    return (
        f"{field.spec!r} of {resource.name}: this would prevent users from deleting their account{because}. "
        f"Write '{field.name}:ref({field.target})?' to set the field to null when they do, or "
        f"'{field.name}:ref({field.target},cascade)' to delete the {resource.words} too."
    )


def _refuse_two_meanings(resources: Mapping[str, Resource]) -> None:
    """Raise ScaffoldError if a path is that of a file, and of a list by parent too."""
    for each in resources.values():
        for listed in parent_lists(each, resources):
            for field in listed.parent.fields:
                if field.type == "file" and f"/{field.segment}" == each.path:
                    raise ScaffoldError(
                        f"{field.spec!r} of {listed.parent.name}: GET {listed.path} would be this file, and "
                        f"the list of {each.plural_words} too. Rename the field, or pass another --plural."
                    )


def _needed(resource: Resource) -> list[Field | Many]:
    """Return the relationships whose target the factory adds before each row."""
    return [*resource.references, *(many for many in resource.many if many.is_required)]


def _needed_targets(resource: Resource) -> list[str]:
    return [field.target for field in _needed(resource)]


def _in_a_circle(resource: Resource, field: Field | Many) -> str:
    return (
        f"{field.spec!r}: {field.target} refers to {resource.name}, directly or through others. Generated "
        "tests can't add rows that refer to each other in a circle. Write this field by hand."
    )


def _needs_itself(resource: Resource, field: Field) -> str:
    return (
        f"{field.spec!r}: the first {resource.words} could never be created, because no other exists that it "
        f"could refer to. Write '{field.name}:ref({resource.name})?' to set the field to null when the other "
        f"{resource.words} is deleted, or '{field.name}:ref({resource.name},cascade)?' to delete the row too."
    )


@contextmanager
def _stops_as_exceptions() -> Iterator[None]:
    """Raise SystemExit for SIGTERM, and for SIGHUP of a closed terminal."""

    def stop(number: int, _: object) -> None:
        sys.exit(128 + number)

    numbers = (signal.SIGTERM, signal.SIGHUP) if current_thread() is main_thread() else ()
    handlers = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _files(*folders: Path) -> list[Path]:
    files = (file for folder in folders for file in folder.rglob("*"))
    return [file for file in files if file.is_file() and "__pycache__" not in file.parts]


def _digest(file: Path) -> str:
    return digest(file.read_bytes()) if file.exists() else ""


def digest(content: bytes) -> str:
    return sha256(content).hexdigest()
