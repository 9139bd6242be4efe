"""Measure the cost of requests against a minimal server (docs/4-reference/performance.md)."""
