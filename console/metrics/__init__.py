"""``/metrics``: what the ledger knows, for Prometheus."""
