"""Agents across coordinators: a directory in Redis, and calls passed on to where an agent is connected.

`directory.py` decides what is written when, `redis_directory.py` writes it, `forwarding.py` passes calls on over the
channels of `peers.py`, and `federation.py` puts them together. Imported only where several coordinators share a Redis.
"""
