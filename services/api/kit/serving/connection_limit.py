"""The number of connections that a server may accept. A server that runs out of files would crash."""

import logging
import resource

from kit.settings import Settings

logger = logging.getLogger("app.server")
OTHER_FILES = 64  # such as listeners, modules that are being loaded, and files of uploads


def connection_limit(settings: Settings, wanted: int) -> int:
    """Return how many connections the limit of open files allows, after raising that limit if possible.

    They get at least a third of the files: the others are seldom all used.
    """
    others = OTHER_FILES + 3 * settings.database_pool_size  # SQLite opens three files per connection
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = wanted + others if hard == resource.RLIM_INFINITY else min(wanted + others, hard)
    if soft != resource.RLIM_INFINITY and soft < files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    limit = max(files - others, files // 3)
    if limit < wanted:
        logger.warning(
            "accepts only %d connections, because it can open only %d files (ulimit -n)", limit, hard
        )
    return min(limit, wanted)
