"""A tour of the API for its clients: the same requests as a Postman collection and as .http files."""
