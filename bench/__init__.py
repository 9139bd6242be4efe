"""What a request costs, beside the least that it could cost. `make bench` runs it; README.md explains it."""
