"""Deterministic simulation of clients, network, coordinator and store; and the checker of histories."""
