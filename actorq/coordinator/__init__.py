"""The coordinator: takes calls from clients and leases them to workers. `core` decides, `shell` carries out."""
