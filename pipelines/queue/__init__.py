"""The queue of runs: what was ordered is kept on disk, and executed one after the other by a process of its own.

submit(environment, order)        # checked and kept; the same id twice is one order
ensure_worker(environment)        # the process that executes the queue, started if there is none
orders(environment)               # queued, running, ended
cancel(environment, id, by)       # taken out of the queue, or ended as by Ctrl-C
"""
