"""State machines of the bus. They take inputs and `now` and do no input or output themselves."""
