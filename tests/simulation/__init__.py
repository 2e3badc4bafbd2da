"""A whole mesh in one thread, from one seed: the three cores on a network of ours, with virtual time and faults.

options      what is random about a run, drawn from its seed
loop         virtual time
network      connections: delay, order, loss, partitions
process      machines, their processes, and the threads in these
nodes        a coordinator, a worker, a client: shells around the cores
workload     what clients submit and operators do
faults       what breaks
oracle       what must hold at each step, and what happened to each call
ending       what must hold when all faults are over
mesh         one run
bisection    what a run needs to fail
test_small_meshes  meshes in which hypothesis chooses what breaks
planted      bugs that the oracle has to find
__main__     many runs: scripts/sim
"""
