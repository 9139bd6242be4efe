"""The kit for data: base classes of models and repositories, migrations. No need to change it."""
