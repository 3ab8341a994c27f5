"""HTTP routes: thin; each reads its request, calls the data plane, and writes the answer."""
