"""The domain: what is stored, and the collections it is stored in. Knows nothing of HTTP or Flask."""
