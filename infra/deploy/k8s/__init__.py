"""Orderfold on Kubernetes: manifests, and what is made beside them."""
