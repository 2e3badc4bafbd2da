"""Fuzzing: what peers may send, and what else comes over a socket, harms nobody but its sender.

A *tape* is the bytes from which a run takes all its decisions, so a run is replayed, changed and cut down by replaying,
changing and cutting its tape. A *target* plays a tape against one part of actorq and raises if a promise is broken.
The *engine* keeps the tapes that reached lines which none before had reached, and makes new ones of them.
"""
