"""Training: the loop, where its batches come from, checkpoints."""
