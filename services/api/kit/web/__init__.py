"""The kit for HTTP: endpoints, validation, problems, OpenAPI, pagination, limits. No need to change it."""
