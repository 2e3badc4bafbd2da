"""A mesh of real processes on several hosts, which are network namespaces, with faults from a seed: `scripts/faults`."""
