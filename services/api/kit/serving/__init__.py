"""THE KIT for running: servers, graceful shutdown, health check, logs, metrics. No need to edit it."""
