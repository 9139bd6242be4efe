"""Development only, not in the image: the scaffolder, seeds, the files for API clients, and the doctor."""

# Command: its module, and its help text.
COMMANDS = {
    "scaffold": (
        "tools.scaffold.commands",
        "Generate the resource NAME: model, repository, schemas, views, migration, documents and tests.",
    ),
    "scaffold-field": (
        "tools.scaffold.commands",
        "Add FIELD to the generated resource NAME: code, migration, documents and tests.",
    ),
    "scaffold-choice": (
        "tools.scaffold.commands",
        "Add VALUE to the enum FIELD of the generated resource NAME: code, migration and documents.",
    ),
    "unscaffold": (
        "tools.scaffold.commands",
        "Remove the generated resource NAME. If its table exists, a new migration drops it.",
    ),
    "seed": (
        "tools.seed.commands",
        "Fill a development database with accounts, and COUNT rows of each generated resource.",
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
