"""The kit for running: servers, graceful shutdown, health check, logs, metrics. No need to change it."""
