"""Where stages work: an actor of Ray (`runner`) has a host, the host watches a process that may die, and in that process sits the worker.

`host` is what engines ask for; `watched` finds out which item killed a process; `process` is one process and the line to it, bounded in
time, memory and disk; `child` that process's own side; `worker` the stage in it; `ledger` counts who died of what; `leaving` is about the
end of a machine, `scratch_guard` about its disk.
"""
