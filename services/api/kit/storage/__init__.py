"""Where uploaded files are stored: a folder, or a bucket of S3. STORAGE_URL decides."""
