"""Tasks, their results, and the ways to call many at once."""
