"""THE KIT for running: waitress, gunicorn, graceful shutdown, health check, logs, metrics. No need to edit it."""
