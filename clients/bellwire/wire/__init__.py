"""The wire: messages, batches, windows, errors. No input or output happens here."""
