"""Fills a development database with users and rows of the generated resources."""
