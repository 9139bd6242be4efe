"""THE KIT for data: connections, model and repository base classes, pagination, migrations. No need to edit it."""
