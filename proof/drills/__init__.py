"""Drills: faults befall a real stack under load. proof/scripts/drill runs them."""
