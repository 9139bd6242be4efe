"""The source tree that the scaffolder changes: files of a resource, lists that name it, and migrations."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from alembic.script import ScriptDirectory

from kit.data.migrations import commands as migrations
from tools.scaffold.parents import ParentList, parent_lists
from tools.scaffold.permissions import matrix_rows, routes_of
from tools.scaffold.render import render
from tools.scaffold.resource import Field, Resource, ScaffoldError, parse_fields
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
LAST_BLUEPRINT = "    problem_pages.blueprint,\n"  # new ones come before it


@dataclass(frozen=True)
class Record:
    """A generated resource, stored so that the scaffolder can change or remove it later."""

    resource: Resource
    files: dict[str, str]  # path: SHA-256 of its generated content
    migrations: list[str]  # their revisions


class Tree:
    """The folder services/api of a checkout."""

    def __init__(self, api: Path) -> None:
        self.api = api
        self._texts: dict[Resource, dict[str, str]] = {}
        self.postman = api.parents[1] / "postman"

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """Restore every file if the block fails."""
        folders = [self.api / name for name in ("app", "migrations", "tools/scaffold/made", "tests")] + [
            self.postman
        ]
        before = {file: file.read_bytes() for file in _files(*folders)}
        try:
            yield
        except BaseException:
            for file in _files(*folders):
                if file not in before:
                    file.unlink()
            for file, content in before.items():
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
            uniques=tuple(map(tuple, kept.get("unique", ()))),
            soft_delete=kept.get("soft_delete", False),
        )
        return Record(resource, kept["files"], kept["migrations"])

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
        for field in resource.references:
            if field.target not in tables:
                raise ScaffoldError(
                    f"{field.spec!r}: unknown resource {field.target!r}. Use one of {', '.join(tables)}."
                )
            if field.target != "user" and known[field.target].is_owned:
                raise ScaffoldError(
                    f"{field.spec!r}: each {field.target} belongs to one user, and generated code "
                    "doesn't check its owner. Write this field by hand, with such a check."
                )
            if field.target == resource.name and field.is_required:
                raise ScaffoldError(_needs_itself(resource, field))
        deleted = _deleted_with_accounts(known.values())
        others = [each for name, each in known.items() if name != resource.name]
        for each in (resource, *others):
            for field in each.references:
                if field.target in deleted and field.on_delete == "RESTRICT":
                    raise ScaffoldError(_prevents_deletion(each, field))

    def refuse_if_referenced(self, name: str) -> None:
        for other in set(self.made()) - {name}:
            if any(field.target == name for field in self.record(other).resource.fields):
                raise ScaffoldError(f"{other} refers to {name}. Remove {other} first.")

    def changed(self, record: Record) -> list[str]:
        """Return the files that were edited after they were generated."""
        return [path for path, digest in record.files.items() if _digest(self.api / path) != digest]

    def view(self, resource: Resource) -> ResourceView:
        return ResourceView(
            resource,
            self.tables() | {resource.name: resource.plural},
            self.parent_lists(resource),
            self._soft(resource),
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
        soft = self._soft(resource)
        others = {PREFIX + name: stand_in_of(self.record(name).resource) for name in self.made()}
        lists = parent_lists(stand_in, others)
        view = ResourceView(stand_in, tables, lists, soft | {PREFIX + name for name in soft})
        return {path: render(template, r=view) for path, template in self.paths(resource).items()}

    def _soft(self, resource: Resource) -> set[str]:
        others = [self.record(name).resource for name in self.made() if name != resource.name]
        return {each.name for each in (*others, resource) if each.soft_delete}

    def write(self, texts: dict[str, str]) -> None:
        for path, text in texts.items():
            (self.api / path).write_text(text, encoding="utf-8", newline="\n")

    def register(self, resource: Resource) -> None:
        """Add the resource to the lists of blueprints, models and events, and to tests/authorization.md."""
        name, class_name = resource.name, resource.class_name
        self._edit(
            "app/blueprint/__init__.py",
            lambda text: text.replace("import (\n", f"import (\n    {name},\n", 1).replace(
                LAST_BLUEPRINT, f"    {name}.blueprint,\n{LAST_BLUEPRINT}", 1
            ),
        )
        self._edit(
            "app/model/__init__.py",
            lambda text: text.replace(
                "from app.model.models",
                f"from app.model.{name} import {class_name}\nfrom app.model.models",
                1,
            ).replace("    StoredResponse,\n", f"    {class_name},\n    StoredResponse,\n", 1),
        )
        values = "".join(f'    {event.upper()} = "{event}"\n' for event in resource.events)
        self._edit("app/events.py", lambda text: text + values)
        self.register_routes(resource)

    def register_routes(self, resource: Resource) -> None:
        """Add the routes of the resource to tests/authorization.md, except those that are there."""
        lists = self.parent_lists(resource)
        self._edit("tests/authorization.md", lambda text: _with_rows(text, resource, lists))

    def unregister(self, resource: Resource) -> None:
        name, class_name = resource.name, resource.class_name
        routes = "|".join(re.escape(each.name) for each in routes_of(resource, self.parent_lists(resource)))
        lines_of = {
            "app/blueprint/__init__.py": rf"^    {name}(\.blueprint)?,\n",
            "app/model/__init__.py": rf"^    {class_name},\n|^from app\.model\.{name} import {class_name}\n",
            "tests/authorization.md": rf"^\| ({routes}) \|.*\n",
        }
        if resource.events:
            lines_of["app/events.py"] = rf"^    \w+ = \"({'|'.join(resource.events)})\"\n"
        for path, lines in lines_of.items():
            self._edit(path, lambda text, lines=lines: re.sub(lines, "", text, flags=re.MULTILINE))  # type: ignore[misc]

    def keep_record(self, resource: Resource, migrations: list[str]) -> None:
        path = RECORD.format(name=resource.name)
        scripts = [self.migration_path(revision) for revision in migrations]
        kept = {
            "plural": resource.plural,
            "access": resource.access,
            "requires_match": resource.requires_match,
            "audited": resource.is_audited,
            "unique": resource.uniques,
            "soft_delete": resource.soft_delete,
            "fields": [field.spec for field in resource.fields],
            "migrations": migrations,
            "files": {path: _digest(self.api / path) for path in [*self.paths(resource), *scripts]},
        }
        (self.api / path).parent.mkdir(exist_ok=True)
        self.write({path: json.dumps(kept, indent=2) + "\n"})

    def remove(self, paths: Iterable[str]) -> None:
        for path in paths:
            (self.api / path).unlink(missing_ok=True)

    def format(self, paths: Iterable[str]) -> None:
        """Format the files, sort their imports, and remove imports that this resource doesn't use."""
        lists = ["app/blueprint/__init__.py", "app/model/__init__.py"]
        files = [path for path in [*paths, *lists] if path.endswith(".py")]
        for arguments in (
            ["check", "--quiet", "--no-cache", "--fix", "--select", "F401,I"],
            ["format", "--quiet", "--no-cache"],
        ):
            subprocess.run([sys.executable, "-m", "ruff", *arguments, *files], cwd=self.api, check=True)  # noqa: S603

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

    def _edit(self, path: str, change: Callable[[str], str]) -> None:
        self.write({path: change((self.api / path).read_text(encoding="utf-8"))})


def _with_rows(table: str, resource: Resource, lists: Sequence[ParentList]) -> str:
    """Add the resource's rows to the text of tests/authorization.md, except those that are there."""
    header = next((line for line in table.splitlines() if line.startswith("| route |")), "")
    if not header:
        raise ScaffoldError("tests/authorization.md has no line that begins with | route |. Restore it.")
    callers = [cell.strip() for cell in header.strip("|").split("|")[1:]]
    there = {line.split(" | ")[0] for line in table.splitlines()}
    rows = [row for row in matrix_rows(resource, lists, callers) if row.split(" | ")[0] not in there]
    return "\n".join([table.rstrip("\n"), *rows, ""])


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


def _needs_itself(resource: Resource, field: Field) -> str:
    return (
        f"{field.spec!r}: the first {resource.words} could never be created, because no other exists that it "
        f"could refer to. Write '{field.name}:ref({resource.name})?' to set the field to null when the other "
        f"{resource.words} is deleted, or '{field.name}:ref({resource.name},cascade)?' to delete the row too."
    )


def _files(*folders: Path) -> list[Path]:
    files = (file for folder in folders for file in folder.rglob("*"))
    return [file for file in files if file.is_file() and "__pycache__" not in file.parts]


def _digest(file: Path) -> str:
    return sha256(file.read_bytes()).hexdigest() if file.exists() else ""
