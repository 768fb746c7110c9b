"""The benchmark: Bellwire beside peers that are started in the same run (`make bench`)."""
