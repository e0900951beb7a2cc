"""How Orderfold is deployed: images, containers, Kubernetes, servers' configuration and dashboards."""
