"""Mail: an optional feature, which is there if SMTP_URL is set."""
