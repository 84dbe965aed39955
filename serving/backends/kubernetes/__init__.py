"""Kubernetes: a Deployment whose pods are replicas of the endpoint, and whose rollout is the promotion. Only this package knows it."""
