"""The number of connections that a server may accept. A server that runs out of files would crash."""

import logging
import resource

from kit.settings import Settings

logger = logging.getLogger("app.server")
OTHER_FILES = 64  # such as listeners, modules that are being loaded, and files of uploads


def connection_limit(settings: Settings, wanted: int, *, more_files: int = 0) -> int:
    """Return how many connections the limit of open files allows, after raising that limit if possible."""
    # SQLite opens three files per connection.
    others = OTHER_FILES + 3 * settings.database_pool_size + more_files
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = wanted + others if hard == resource.RLIM_INFINITY else min(wanted + others, hard)
    if soft != resource.RLIM_INFINITY and soft < files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    if files < wanted + others:
        logger.warning(
            "accepts only %d connections, because it can open only %d files (ulimit -n)", files - others, hard
        )
    return files - others
