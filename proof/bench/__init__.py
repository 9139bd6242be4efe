"""Measure what a request costs, compared with a minimal server. The main README explains the results."""
