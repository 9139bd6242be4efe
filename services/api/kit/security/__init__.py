"""THE KIT for security: JWTs, password hashers, security events, a check of the settings. No need to edit it."""
