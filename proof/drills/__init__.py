"""Drills inject faults into a real stack under load. proof/scripts/drill runs them."""
