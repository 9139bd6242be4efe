"""What maintainers run to prove what the documentation promises. README.md lists it."""
