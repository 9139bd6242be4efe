"""The scaffolder: resources of your own, written and taken back by a command. Not part of the image."""

COMMANDS = {
    "scaffold": "Make the resource NAME: model, repository, schemas, views, migration, documents and tests.",
    "scaffold-field": "Add FIELD to the scaffolded resource NAME everywhere, with its migration.",
    "unscaffold": "Take the resource NAME back. A table that exists is dropped by a new migration.",
}
