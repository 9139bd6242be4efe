"""THE KIT for HTTP: endpoints, validation, problems, OpenAPI, pagination, rate limits. No need to edit it."""
