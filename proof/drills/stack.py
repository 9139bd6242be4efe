"""The stack of a drill. Compose configures it, and `docker` commands inject the faults."""

import os
import random
import socket
import subprocess
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from tests.support.waiting import wait_until

REPOSITORY = Path(__file__).parents[2]
FAULTS = Path(__file__).parent
Address = tuple[str, int]


def run(*command: str, **environment: str) -> str:
    """Run a command and return its output. Raises RuntimeError with the output if it fails."""
    variables = os.environ | environment
    done = subprocess.run(command, cwd=REPOSITORY, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return (done.stdout + done.stderr).strip()


class Stack:
    """A Compose project that drills reconfigure and restart."""

    def __init__(self, project: str, server: str) -> None:
        self.project, self.server = project, server
        self.first_port = _two_free_ports()
        self.variant: object = None
        self.small_disk = False

    def up(self, *, small_disk: bool = False, replicas: int = 1, **environment: str) -> None:
        """Start or reconfigure the stack, and wait until it is healthy. `environment` is for compose.yaml."""
        wanted = (small_disk, replicas, environment)
        if self.variant == wanted:
            return
        if small_disk != self.small_disk:
            self.down()
        elif self.variant:  # `compose up` fails if the database is still unhealthy
            wait_until(lambda: self.inspect("db", "{{.State.Health.Status}}") == "healthy", 60)
        self.small_disk = small_disk
        self.compose("up", "--wait", "--no-build", "--scale", f"api={replicas}", "api", **environment)
        self.variant = wanted

    def down(self) -> None:
        self.compose("down", "--volumes", "--timeout", "0")
        self.variant = None

    def compose(self, *arguments: str, **environment: str) -> str:
        files = [REPOSITORY / "compose.test.yaml", FAULTS / "compose.yaml"]
        if self.small_disk:
            files.append(FAULTS / "compose.small-disk.yaml")
        processes = "2" if self.server == "gunicorn" else "1"
        ports = f"{self.first_port}-{self.first_port + 1}"
        return run(
            *("docker", "compose", "--progress", "quiet", "--project-name", self.project),
            *("--env-file", "/dev/null", *(f"--file={file}" for file in files), *arguments),
            **{"API_SERVER": self.server, "API_PROCESSES": processes, "API_PORTS": ports} | environment,
        )

    def docker(self, command: str, service: str, *arguments: str) -> str:
        """Run `docker COMMAND CONTAINER ARGUMENTS`. The service api-2 is the second replica of api."""
        return run("docker", *command.split(), self.container(service), *arguments)

    def container(self, service: str) -> str:
        return f"{self.project}-{service}" + ("" if service[-1].isdigit() else "-1")

    def inspect(self, service: str, template: str) -> str:
        return run("docker", "inspect", "--format", template, self.container(service))

    def ports(self) -> list[Address]:
        """Return the addresses of both published ports. A replica can get either of them at each start."""
        return [("127.0.0.1", self.first_port + number) for number in (0, 1)]

    def published(self, service: str = "api") -> Address:
        """Return a replica's published address, which is valid until its next start."""
        template = '{{(index (index .NetworkSettings.Ports "5000/tcp") 0).HostPort}}'
        return "127.0.0.1", int(self.inspect(service, template))

    def address(self, service: str = "api") -> Address:
        """Return the container's own address. On the published port, Docker's proxy accepts connections."""
        network = f'(index .NetworkSettings.Networks "{self.project}_default")'
        return self.inspect(service, "{{" + network + ".IPAddress}}"), 5000

    def get(self, path: str, service: str = "api") -> int:
        """Return the status of a GET, or 0 without a response."""
        try:
            connection = HTTPConnection(*self.published(service), timeout=10)
        except RuntimeError:  # the container doesn't exist or isn't running
            return 0
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, HTTPException):
            return 0
        finally:
            connection.close()

    def is_ready(self) -> bool:
        return self.get("/health/ready") == 200

    def starts(self, service: str = "api") -> str:
        """Return a value that changes at every start of the container."""
        return self.inspect(service, "{{.RestartCount}} {{.State.StartedAt}}")

    def sql(self, query: str) -> list[str]:
        """Run a query in the db container, over its Unix socket."""
        answer = self.docker("exec", "db", "psql", "-U", "flask_api", "-Atqc", query)
        return answer.splitlines()

    def takes_connections(self) -> bool:
        """Return whether PostgreSQL accepts TCP connections."""
        try:
            self.docker("exec", "db", "pg_isready", "-q", "-h", "127.0.0.1", "-U", "flask_api")
        except RuntimeError:
            return False
        return True

    def tool(self, service: str, *command: str) -> None:
        """Run a tool as root in the network namespace of a container."""
        network = f"container:{self.container(service)}"
        image = f"{self.project}-tools"
        run("docker", "run", "--rm", "--network", network, "--cap-add", "NET_ADMIN", image, *command)


def _two_free_ports() -> int:
    """Return the first of two adjacent free ports, below the kernel's ephemeral range."""
    while True:
        port = random.randrange(20_000, 32_000)
        try:
            with socket.create_server(("127.0.0.1", port)), socket.create_server(("127.0.0.1", port + 1)):
                return port
        except OSError:
            continue
