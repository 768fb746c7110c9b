"""`bellwire loadtest`: how many messages a second a coordinator carries, and what stops it."""
