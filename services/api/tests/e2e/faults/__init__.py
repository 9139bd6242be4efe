"""Drills: faults befall a real stack under load. `make drill` runs them, with the docker command."""
