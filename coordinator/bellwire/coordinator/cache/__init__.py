"""What the coordinator remembers for others: answers of cacheable calls, in memory, in Redis, in a store.

`levels.py` puts the levels one behind the other; `calls.py` decides what is cacheable and under which key.
"""
