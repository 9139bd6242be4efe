"""THE KIT for migrations: `flask db`, for PostgreSQL and SQLite alike. No need to edit it."""
