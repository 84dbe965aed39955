"""What the dashboard knows of the services that it stands on: looked at in the background, so that no page waits for them."""
