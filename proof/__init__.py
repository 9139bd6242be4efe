"""Benchmarks, drills and rehearsals that test the promises of the documentation. README.md lists them."""
