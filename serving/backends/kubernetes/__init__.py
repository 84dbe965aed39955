"""Kubernetes: a Deployment whose pods are replicas; its rollout is the promotion. Only this package knows it."""
