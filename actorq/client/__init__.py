"""The client: a session of the user's process with the mesh. `core` decides, `session` carries out."""
