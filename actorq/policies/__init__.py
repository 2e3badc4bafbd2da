"""Pure values and functions: retry, backoff, chunk sizes, addresses."""
