"""THE KIT for data: connections, base classes of models and repositories, migrations. No need to edit it."""
