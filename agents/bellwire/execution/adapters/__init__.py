"""Ways to a venue, one package each."""
