"""The worker node: runs calls in green threads. `core` decides, `shell` carries out."""
