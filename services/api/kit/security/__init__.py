"""The kit for security: JWTs, password hashers, events, deployment check. No need to change it."""
