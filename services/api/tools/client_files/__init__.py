"""The files for API clients: the same requests as a Postman collection and as .http files."""
