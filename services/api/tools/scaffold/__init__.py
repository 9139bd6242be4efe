"""The scaffolder: generates the code of a resource, and removes it again."""
