"""How fast actorq is, as ratios to the least that its pipeline costs. Run it with `scripts/bench`.

One module for each question (`noop_throughput`, `round_trip`, …), each with one function `measure`; `suite` lists them.
`ceiling` is the divisor: the same pipeline with no semantics, and its three hops with nothing but ZeroMQ. The two sides
take turns within one run, since machines drift: no figure stands alone.
"""
