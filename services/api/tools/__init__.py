"""Development only, not in the image: the scaffolder, the files for API clients, and the doctor."""

# Command: its module, and its help text.
COMMANDS = {
    "scaffold": (
        "tools.scaffold.commands",
        "Make the resource NAME: model, repository, schemas, views, migration, documents and tests.",
    ),
    "scaffold-field": (
        "tools.scaffold.commands",
        "Add FIELD to the scaffolded resource NAME everywhere, with its migration.",
    ),
    "unscaffold": (
        "tools.scaffold.commands",
        "Take the resource NAME back. A table that exists is dropped by a new migration.",
    ),
    "postman": (
        "tools.client_files.commands",
        "Write the OpenAPI document, the Postman collection with its environment, and the .http files.",
    ),
    "doctor": (
        "tools.doctor.commands",
        "Find what keeps the stack from running, and say how to fix it.",
    ),
}
