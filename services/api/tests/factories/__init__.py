"""Factories: test data for each resource."""
