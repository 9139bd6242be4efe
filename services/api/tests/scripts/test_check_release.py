"""scripts/check-release: whether a tag, the code and the changelog name the same version."""

from pathlib import Path

import pytest

from tests.support.copies import Copy


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    copy = Copy(tmp_path, "check-release", docker={})
    copy.write("services/api/app/config.py", 'NAME = "1.1.0"\nVERSION = "1.2.0"  # the newest\n')
    copy.write("CHANGELOG.md", "# Changelog\n\n## 1.2.0 (2026-03-01)\n\n- New.\n\n## 1.1.0\n")
    return copy


def test_the_tag_of_this_version_passes(copy: Copy) -> None:
    done = copy.run("check-release", "v1.2.0")

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("tag", ["", "1.2.0", "v1.2", "release", "v1.2.0; true"])
def test_a_tag_without_a_full_version_is_refused(copy: Copy, tag: str) -> None:
    done = copy.run("check-release", tag)

    assert done.returncode == 1
    assert "give a tag with a full version" in done.stderr


def test_the_tag_of_another_version_is_refused(copy: Copy) -> None:
    done = copy.run("check-release", "v1.1.0")

    assert done.returncode == 1
    assert 'VERSION in services/api/app/config.py is "1.2.0"' in done.stderr


def test_a_changelog_without_this_version_is_refused(copy: Copy) -> None:
    copy.write("CHANGELOG.md", "# Changelog\n\n## 1.1.0\n")

    done = copy.run("check-release", "v1.2.0")

    assert done.returncode == 1
    assert 'the newest heading of CHANGELOG.md is "1.1.0"' in done.stderr
