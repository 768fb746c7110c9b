"""The agents that ship with Bellwire and what they are made of; import from the packages below."""
