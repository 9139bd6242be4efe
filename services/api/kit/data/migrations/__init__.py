"""THE KIT for migrations: `flask db`, and migrations that run on PostgreSQL and SQLite. No need to edit it."""
