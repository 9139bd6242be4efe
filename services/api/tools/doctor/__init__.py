"""Find what keeps the stack from running, and say how to fix it.

People run this when the app doesn't start, so it needs only Python 3.11 and its standard library. Two files
need more: commands.py, for `flask doctor`, and check_settings.py, which runs in another process.
"""
