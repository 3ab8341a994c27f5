"""Comparisons with PyTorch and JAX, which are no dependency: `make test-peers` installs them."""
