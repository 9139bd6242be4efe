"""The tree that the scaffolder works on: the files of a resource, the lists that name it, the migrations."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from alembic.script import ScriptDirectory

from kit.data.migrations import commands as migrations
from tools.scaffold.render import ResourceView, matrix_rows, render
from tools.scaffold.resource import Refused, Resource, parse_fields

TEMPLATE_OF = {
    "app/model/{name}.py": "model.py",
    "app/model/{name}_repository.py": "repository.py",
    "app/blueprint/{name}_schemas.py": "schemas.py",
    "app/blueprint/{name}.py": "blueprint.py",
    "tests/factories/{name}.py": "factory.py",
    "tests/integration/test_{name}.py": "test.py",
}
MADE = "tools/scaffold/made/{name}.json"
LAST_BLUEPRINT = "    problem_pages.blueprint,\n"  # new ones come before it


@dataclass(frozen=True)
class Record:
    """What was made for a resource, kept beside the scaffolder so that it can be changed and taken back."""

    resource: Resource
    files: dict[str, str]  # path: what its content was, hashed
    migrations: list[str]  # revisions


class Tree:
    """The folder services/api of a repository."""

    def __init__(self, api: Path) -> None:
        self.api = api
        self.postman = api.parents[1] / "postman"

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """Do all of it or nothing: after a failure every file is as it was."""
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

    # What is there

    def paths(self, resource: Resource) -> dict[str, str]:
        """Return the path of each file of a resource, with its template."""
        return {path.format(name=resource.name): template for path, template in TEMPLATE_OF.items()}

    def record(self, name: str) -> Record:
        file = self.api / MADE.format(name=name)
        if not file.exists():
            made = ", ".join(self.made()) or "none yet"
            raise Refused(f"There is no scaffolded resource {name!r}. Those that are: {made}.")
        kept = json.loads(file.read_text(encoding="utf-8"))
        fields = parse_fields(kept["fields"], kept["plural"])
        resource = Resource(name, kept["plural"], kept["access"], kept["requires_match"], fields)
        return Record(resource, kept["files"], kept["migrations"])

    def made(self) -> list[str]:
        return sorted(file.stem for file in (self.api / "tools/scaffold/made").glob("*.json"))

    def tables(self) -> dict[str, str]:
        """Return the tables that a reference can be to, by the name of their resource."""
        return {"user": "users"} | {name: self.record(name).resource.plural for name in self.made()}

    def refuse_taken(self, resource: Resource, taken_tables: Iterable[str]) -> None:
        taken = [path for path in self.paths(resource) if (self.api / path).exists()]
        if taken:
            raise Refused(f"{taken[0]} exists, and nothing is overwritten. Choose another name.")
        if resource.plural in taken_tables:
            raise Refused(
                f"There is a table {resource.plural!r} already. Choose another name, or give --plural."
            )

    def refuse_references(self, resource: Resource) -> None:
        """Raises Refused for a reference to nothing, and for one by which others' rows could be found."""
        tables = self.tables()
        for field in resource.fields:
            if field.type != "ref":
                continue
            if field.target not in tables:
                raise Refused(
                    f"{field.spec!r}: there is no resource {field.target!r}. There are {', '.join(tables)}."
                )
            if field.target != "user" and self.record(field.target).resource.is_owned:
                raise Refused(
                    f"{field.spec!r}: each {field.target} is one user's own, and this could name another's. "
                    "Write such a field by hand, with a check of the owner."
                )

    def refuse_referred(self, name: str) -> None:
        for other in self.made():
            if any(field.target == name for field in self.record(other).resource.fields):
                raise Refused(f"{other} refers to {name}. Take {other} back first.")

    def changed(self, record: Record) -> list[str]:
        """Return the files that are not as they were made."""
        return [path for path, digest in record.files.items() if _digest(self.api / path) != digest]

    # What is written

    def view(self, resource: Resource) -> ResourceView:
        return ResourceView(resource, self.tables() | {resource.name: resource.plural})

    def texts(self, resource: Resource) -> dict[str, str]:
        """Return what is written into each file of a resource."""
        view = self.view(resource)
        return {path: render(template, r=view) for path, template in self.paths(resource).items()}

    def write(self, texts: dict[str, str]) -> None:
        for path, text in texts.items():
            (self.api / path).write_text(text, encoding="utf-8", newline="\n")

    def register(self, resource: Resource) -> None:
        """Add the resource to the lists of blueprints and models, and to the table of who may do what."""
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
        rows = "".join(f"{row}\n" for row in matrix_rows(resource))
        self._edit("tests/authorization.md", lambda text: text.rstrip("\n") + "\n" + rows)

    def unregister(self, resource: Resource) -> None:
        name, class_name = resource.name, resource.class_name
        own = re.escape(resource.path)
        without = {
            "app/blueprint/__init__.py": rf"^    {name}(\.blueprint)?,\n",
            "app/model/__init__.py": rf"^    {class_name},\n|^from app\.model\.{name} import {class_name}\n",
            "tests/authorization.md": rf"^\| [A-Z]+ {own}(/<uuid:{name}_id>)? \|.*\n",
        }
        for path, lines in without.items():
            self._edit(path, lambda text, lines=lines: re.sub(lines, "", text, flags=re.MULTILINE))  # type: ignore[misc]

    def keep_record(self, resource: Resource, migrations: list[str]) -> None:
        path = MADE.format(name=resource.name)
        scripts = [self.migration_path(revision) for revision in migrations]
        kept = {
            "plural": resource.plural,
            "access": resource.access,
            "requires_match": resource.requires_match,
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
        """Format the files, sort their imports, and leave out those that a template had for another field."""
        lists = ["app/blueprint/__init__.py", "app/model/__init__.py"]
        files = [path for path in [*paths, *lists] if path.endswith(".py")]
        for arguments in (
            ["check", "--quiet", "--no-cache", "--fix", "--select", "F401,I"],
            ["format", "--quiet", "--no-cache"],
        ):
            subprocess.run([sys.executable, "-m", "ruff", *arguments, *files], cwd=self.api, check=True)  # noqa: S603

    def write_documents(self) -> None:
        """Write postman/ anew, by a process of its own, for this one has the old views."""
        command = [sys.executable, "-m", "tools.client_files.documents", str(self.postman)]
        subprocess.run(command, cwd=self.api, check=True)  # noqa: S603

    # The migrations

    def scripts(self) -> ScriptDirectory:
        return ScriptDirectory(str(self.api / "migrations"))

    def head(self) -> str:
        heads = self.scripts().get_heads()
        if len(heads) != 1:
            raise Refused("The migrations have two heads. Join them first: `flask db merge heads`.")
        return heads[0]

    def next_revision(self) -> str:
        return migrations.next_revision(self.scripts())

    def migration_path(self, revision: str) -> str:
        script = self.scripts().get_revision(revision)
        return str(Path(script.path).relative_to(self.api)) if script else ""

    def _edit(self, path: str, change: Callable[[str], str]) -> None:
        self.write({path: change((self.api / path).read_text(encoding="utf-8"))})


def _files(*folders: Path) -> list[Path]:
    files = (file for folder in folders for file in folder.rglob("*"))
    return [file for file in files if file.is_file() and "__pycache__" not in file.parts]


def _digest(file: Path) -> str:
    return sha256(file.read_bytes()).hexdigest() if file.exists() else ""
