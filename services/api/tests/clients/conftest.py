"""The running stack, as the end-to-end tests find it."""

from tests.e2e.conftest import base_url, docker_cleanup, docker_compose_file, docker_setup, http, username

__all__ = ["base_url", "docker_cleanup", "docker_compose_file", "docker_setup", "http", "username"]
