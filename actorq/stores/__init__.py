"""Where a coordinator keeps what it must not forget."""
