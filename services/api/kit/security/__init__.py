"""THE KIT for security: JWTs, password hashers, security events, deployment check. No need to edit it."""
