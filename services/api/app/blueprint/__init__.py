"""The controllers: each reads a request, asks the model, and answers."""
