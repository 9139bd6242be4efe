"""Run what the documentation tells users to type, in a copy of the project."""
