"""Take a later version of the template: `python -m tools.template.update`. Git does the work.

Both versions of the template, the one that the project has and the later one, are checked out in a scratch
folder. They get the project's name and lose the parts that it left out. Their difference is what the template
changed, in the project's words. `git cherry-pick` applies it with a three-way merge.

The options are environment variables: TEMPLATE, VERSION and FROM. See docs/2-build/template.md.
"""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from tools.template import lists, revisions
from tools.template.git import AUTHOR, Refused, git, require_clean, run, tracked
from tools.template.state import NAME, State

PROJECT = Path(__file__).parents[4]
GENERATED = "postman/"  # make docs writes it
LOCKS = re.compile(r"services/api/requirements.*\.txt")  # make lock writes them
OWN = ("README.md", "CHANGELOG.md")  # scripts/rename starts them, and the project continues them


def update(template: str, version: str, start: str) -> int:
    """Apply the template's changes to the project, and return the exit status: 1 if there are conflicts."""
    require_clean(PROJECT)
    state = State.read(PROJECT)
    url = template or state.url
    if not url:
        raise Refused("Pass the URL of the template: make update-from-template TEMPLATE=https://...")
    with TemporaryDirectory() as scratch:
        after = Path(scratch) / "after"
        git(PROJECT, "clone", "--quiet", "--no-checkout", url, str(after))
        new = _commit(after, version or "HEAD")
        if not run(after, "cat-file", "-e", f"{new}:{NAME}").returncode:
            raise Refused(
                f"{url} is a project made from the template. Pass the template: TEMPLATE=https://..."
            )
        old = _commit(after, start) if start else _find_start(after, state, new)
        if not run(after, "merge-base", "--is-ancestor", new, old).returncode:
            _say(f"Nothing to do: the project has {version or 'the newest version'} of the template.")
            return 0
        count = git(after, "rev-list", "--count", f"{old}..{new}")
        commits = "1 commit" if count == "1" else f"{count} commits"
        _say(f"Taking {commits} of the template, from {old[:7]} to {new[:7]}.")
        before = Path(scratch) / "before"
        git(PROJECT, "clone", "--quiet", "--no-checkout", str(after), str(before))
        numbers = _prepare(before, old, after, new, state)
        git(PROJECT, "fetch", "--quiet", "--no-tags", str(after), "HEAD")
        change = git(after, "rev-parse", "HEAD")
        news = _news(after, old, new)
        tree = git(after, "rev-parse", f"{new}^{{tree}}")
    conflicts = _apply(change)
    replace(state, url=url, commit=new, tree=tree, migrations=numbers).write(PROJECT)
    git(PROJECT, "add", NAME)
    return _report(conflicts, news)


def _commit(template: Path, version: str) -> str:
    for name in (version, f"origin/{version}"):
        found = run(template, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        if not found.returncode:
            return found.stdout.strip()
    raise Refused(f"The template has no version {version}. Pass a tag, a branch or a commit.")


def _find_start(template: Path, state: State, new: str) -> str:
    """Return the template's commit that the project has, by its commit, its files or a shared history."""
    if state.commit and not run(template, "cat-file", "-e", f"{state.commit}^{{commit}}").returncode:
        return state.commit
    versions = dict(
        line.split()[::-1] for line in git(template, "log", "--all", "--format=%H %T").splitlines()
    )
    if state.tree in versions:
        return versions[state.tree]
    git(template, "fetch", "--quiet", "--no-tags", str(PROJECT), "HEAD")
    shared = run(template, "merge-base", new, "FETCH_HEAD")
    if not shared.returncode:
        return shared.stdout.strip()
    for tree in git(PROJECT, "log", "--max-parents=0", "--format=%T", "HEAD").splitlines():
        if tree in versions:  # made with "Use this template"
            return versions[tree]
    raise Refused(
        "Which version of the template did this project start from? Its history doesn't show it. "
        "Pass a tag or a commit: make update-from-template FROM=v0.1.0"
    )


def _prepare(before: Path, old: str, after: Path, new: str, state: State) -> dict[str, str]:
    """Make both versions look like the project, and commit them. Return the numbers of migrations."""
    for checkout, commit in ((before, old), (after, new)):
        git(checkout, "checkout", "--quiet", "--detach", commit)
    project = revisions.read(PROJECT)
    numbers = revisions.plan(project, revisions.read(before), revisions.read(after), state.migrations)
    rename = (after / "scripts/rename").read_text(encoding="utf-8")
    own = _project_files(before, old)
    routes = lists.routes(before)
    for checkout in (before, after):
        _rename(checkout, rename)
        _leave_out(checkout, state.without)
        revisions.renumber(checkout, numbers, project)
        lists.keep_generated_tables(checkout, PROJECT)
        lists.keep_version(checkout, PROJECT)
        lists.keep_own_rows(checkout, PROJECT, routes)
        for path in tracked(checkout):
            if path in own or path.startswith(GENERATED):
                (checkout / path).unlink(missing_ok=True)
        (checkout / NAME).unlink(missing_ok=True)
        git(checkout, "add", "--all")
    base = _commit_tree(before, "the version that the project has")
    git(after, "fetch", "--quiet", "--no-tags", str(before), base)
    git(after, "reset", "--quiet", "--soft", _commit_tree(after, f"the template at {new[:7]}", "-p", base))
    return numbers


def _commit_tree(checkout: Path, message: str, *parent: str) -> str:
    tree = git(checkout, "write-tree")
    commit = git(checkout, "commit-tree", tree, *parent, "-m", message, **AUTHOR)
    git(checkout, "update-ref", "HEAD", commit)
    return commit


def _project_files(before: Path, old: str) -> set[str]:
    """Return the files that the project has written or generated itself, so that they aren't merged."""
    own = {*OWN} if _name(before) != _name(PROJECT) else set()
    locks = [path for path in tracked(PROJECT) if LOCKS.fullmatch(path)]
    if any(run(before, "show", f"{old}:{path}").stdout != (PROJECT / path).read_text() for path in locks):
        own |= set(locks)
        _say("Your dependencies differ from the template's. Run make lock afterwards.")
    return own


def _name(checkout: Path) -> str:
    found = re.search(r"^name: (\S+)", (checkout / "compose.yaml").read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else ""


def _rename(checkout: Path, script: str) -> None:
    name = _name(PROJECT)
    if name != _name(checkout):
        _call(checkout, "bash", "-c", script, "scripts/rename", name, "--text-only")
        git(checkout, "add", "--all")


def _leave_out(checkout: Path, parts: list[str]) -> None:
    if parts and (checkout / "services/api/tools/template/without.py").exists():
        command = [sys.executable, "-EsB", "-m", "tools.template.without", "--quietly", *parts]
        _call(checkout / "services/api", *command)
        git(checkout, "add", "--all")


def _call(folder: Path, *command: str) -> None:
    done = subprocess.run(  # noqa: S603
        command, cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Refused(f"The template can't be prepared: {done.stderr.strip() or done.stdout.strip()}")


def _apply(change: str) -> list[str]:
    """Apply a commit to the project's files and index. Return the conflicts."""
    options = (
        "-c",
        "merge.directoryRenames=false",
        "-c",
        "merge.conflictStyle=merge",
        "-c",
        "rerere.enabled=false",
    )
    done = run(PROJECT, *options, "cherry-pick", "--no-commit", change)
    stages: dict[str, set[str]] = {}
    for entry in git(PROJECT, "ls-files", "--unmerged", "-z").split("\0"):
        if entry:
            about, path = entry.split("\t")
            stages.setdefault(path, set()).add(about.split()[2])
    if done.returncode and not stages:
        git(PROJECT, "reset", "--quiet", "--hard")
        raise Refused(f"Git can't apply the changes, and nothing was changed: {done.stderr.strip()}")
    conflicts = []
    for path, found in sorted(stages.items()):
        if "2" not in found and "1" in found:  # the project deleted the file
            git(PROJECT, "rm", "--quiet", "--force", "--", path)
        elif "3" not in found:
            conflicts.append(f"{path}: the template deleted it, and you changed it. Run git rm or git add.")
        elif not (path in lists.FILES and lists.keep_both(PROJECT, path)):
            conflicts.append(path)
    return conflicts


def _news(template: Path, old: str, new: str) -> list[str]:
    """Return what the template's changelog says about the changes."""
    lines = git(template, "diff", "--unified=0", old, new, "--", "CHANGELOG.md").splitlines()
    return [line[1:] for line in lines if line.startswith("+") and not line.startswith("+++")]


def _report(conflicts: list[str], news: list[str]) -> int:
    if news:
        _say("\nThe template's changelog says:\n\n" + "\n".join(f"  {line}" for line in news) + "\n")
    if not conflicts:
        _say("All changes were applied, and staged for your next commit. To undo them: git reset --hard")
        return 0
    files = "1 file" if len(conflicts) == 1 else f"{len(conflicts)} files"
    _say(f"Conflicts in {files}. The other changes are staged for your next commit:\n")
    for each in conflicts:
        _say(f"  {each}")
    _say(
        "\nIn each of these files, edit the lines between <<<<<<< and >>>>>>>: first come yours, then the "
        "template's.\nThen run git add FILE, make docs and make test, and commit. "
        "To undo everything: git reset --hard"
    )
    return 1


def _say(text: str) -> None:
    print(text)  # noqa: T201


def main() -> int:
    try:
        return update(*(os.environ.get(name, "") for name in ("TEMPLATE", "VERSION", "FROM")))
    except Refused as refused:
        print(f"update-from-template: {refused}", file=sys.stderr)  # noqa: T201
        return 2


if __name__ == "__main__":
    sys.exit(main())
