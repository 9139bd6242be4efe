"""`scripts/deploy`, with a fake Docker. proof/scripts/deploy-rehearsal uses a real one."""

from pathlib import Path

import pytest

from tests.support.copies import Copy, without_docker
from tests.support.paths import REPOSITORY

PROXY = ("docker/Caddyfile", "docker/proxy-start.sh", "docker/proxy.Dockerfile")
TOOLS = ("awk", "bash", "cat", "cmp", "cut", "dirname", "env", "grep", "sh", "sleep", "sort", "xargs")
COMPOSE = "compose --progress quiet"
SERVER: dict[str, str] = {
    f"{COMPOSE} config api": "echo 'name: flask-api'; echo '  replicas: 1'",
    f"{COMPOSE} config worker": "echo 'name: flask-api'; echo '  replicas: 1'",
    f"{COMPOSE} config --hash proxy": "echo proxy 1234",
    f"{COMPOSE} ps --quiet proxy": "echo the-proxy",
    f"{COMPOSE} ps*": "echo healthy",
    f"{COMPOSE} exec -T db test*": "exit 1",
    f"{COMPOSE} up*--scale*": "echo new >>containers; echo new-worker >>workers",
    "start --attach*": "cat; echo released >>calls",
    "container ls*status=exited*": "true",
    "container ls*service=worker*": "cat workers",
    "container ls*": "cat containers",
    "container inspect*Health*": "echo healthy",
    "container inspect*config-hash*": "echo 1234",
    "container inspect*": "echo sha256:old",
    "exec the-proxy cat*": f"cat {' '.join(PROXY)}",
}


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    copy = Copy(tmp_path, "deploy", "need-docker", docker=SERVER)
    for file in PROXY:
        copy.write(file, (REPOSITORY / file).read_text())
    copy.write("containers", "old\n")
    copy.write("workers", "old-worker\n")
    return copy


def test_new_containers_replace_the_old_ones(copy: Copy) -> None:
    done = copy.run("deploy")

    assert (done.returncode, done.stderr.count("\n")) == (0, 1)
    assert "1 containers of the new version are serving" in done.stderr
    assert [call for call in copy.calls() if call.startswith(("start new", "stop", "rm"))] == [
        "start new new-worker",
        "stop old old-worker",
        "rm old old-worker",
    ]


@pytest.mark.parametrize(
    ("broken", "message", "removed"),
    [
        ({f"{COMPOSE} run*migrate": "exit 1"}, "the migration failed", False),
        ({"container inspect*Health*": "echo unhealthy"}, "the new version is not healthy", True),
    ],
)
def test_a_failed_deploy_is_rolled_back(
    copy: Copy, broken: dict[str, str], message: str, removed: bool
) -> None:
    done = copy.run("deploy", docker=broken)

    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.endswith("deploy: the previous version is still serving.\n")
    assert "tag sha256:old flask-api" in copy.calls()
    for new in ("new", "new-worker"):
        assert (f"rm --force {new}" in copy.calls()) is removed
    assert not any(call.startswith("stop") for call in copy.calls())


def test_the_first_worker_joins_a_stack_of_an_earlier_version(copy: Copy) -> None:
    copy.write("workers")

    done = copy.run("deploy")

    assert done.returncode == 0, done.stderr
    assert "start new new-worker" in copy.calls()
    assert "stop old" in copy.calls()


def test_only_the_api_joins_the_proxys_network(copy: Copy) -> None:
    copy.run("deploy")

    joined = [call for call in copy.calls() if call.startswith("network connect")]
    assert joined == ["network connect --alias api flask-api_proxy new"]
    assert "network disconnect flask-api_proxy new-worker" not in copy.calls()


@pytest.mark.parametrize(
    "changed",
    [
        {f"{COMPOSE} config --hash proxy": "echo proxy 5678"},
        {"exec the-proxy cat*": "echo 'another Caddyfile'"},
        {"exec the-proxy cat*": "exit 1"},
    ],
    ids=["setting", "file", "older image"],
)
def test_a_proxy_that_was_not_updated_is_reported(copy: Copy, changed: dict[str, str]) -> None:
    done = copy.run("deploy", docker=changed)

    assert done.returncode == 0
    assert "the proxy still runs with its previous settings" in done.stderr
    assert "docker compose up --build --detach --wait proxy" in done.stderr


def test_only_one_deploy_at_a_time(copy: Copy) -> None:
    taken = {"create *": "echo 'Conflict. The container name is already in use' >&2; exit 1"}

    done = copy.run("deploy", docker=taken)

    assert done.returncode == 1
    assert "another deploy is running" in done.stderr
    assert "docker rm --force flask-api-deploying" in done.stderr
    assert copy.calls()[-1].startswith("create ")


def test_the_lock_is_held_until_the_end(copy: Copy) -> None:
    copy.run("deploy")

    assert copy.calls().index("released") > copy.calls().index("rm old old-worker")


def test_it_needs_no_tools_that_macos_lacks(copy: Copy, tmp_path: Path) -> None:
    tools = without_docker(tmp_path / "tools", *TOOLS)

    done = copy.run("deploy", PATH=f"{copy.folder / 'bin'}:{tools}")

    assert done.returncode == 0, done.stderr
