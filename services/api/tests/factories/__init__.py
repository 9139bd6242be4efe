"""What tests make of each resource."""
