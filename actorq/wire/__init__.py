"""The protocol: message types, their frames, and the payloads of users."""
