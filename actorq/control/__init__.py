"""Commands to nodes, and what they tell of themselves."""
