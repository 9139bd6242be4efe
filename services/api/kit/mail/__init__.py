"""Mail: messages from template files, sent through the server of SMTP_URL.

Without SMTP_URL, the app doesn't import this package.
"""
