"""The steps of the demo; each module is an example of its own."""
