"""The stored model behind an endpoint: registry, rollout, servers of models, gateway, client."""
