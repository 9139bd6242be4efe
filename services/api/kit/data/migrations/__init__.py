"""The kit for migrations: `flask db`, for PostgreSQL and SQLite alike. No need to change it."""
