"""Break the authorization on purpose, and see that a test fails."""
