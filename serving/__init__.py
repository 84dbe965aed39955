"""The stored model behind an endpoint: archive, TorchServe, rollout, client, registry."""
