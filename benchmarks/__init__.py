"""Paired timings against PyTorch: `make bench`. `LOG.md` says what was tried."""
