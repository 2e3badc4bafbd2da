"""The tests: each reads as a specification of what its name says."""
