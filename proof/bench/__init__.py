"""Measure what a request costs, compared with a minimal server.

docs/4-reference/performance.md explains the results.
"""
