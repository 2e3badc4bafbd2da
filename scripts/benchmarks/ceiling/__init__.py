"""The divisor: what client → coordinator → worker → client costs in pure Python when nothing is promised.

`pipeline` has batches, an I/O thread in the client, greenlets in the workers and results that go straight back; it has
no states, leases, retries, errors or shutdown. `bare` has the same three hops, with nothing but ZeroMQ frames.

    python -m scripts.benchmarks.ceiling {coordinator | worker ADDRESS | bare-coordinator | bare-worker ADDRESS}
"""
