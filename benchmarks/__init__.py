"""What the figures in the README and in the decisions come from."""
