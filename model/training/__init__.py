"""Training: the loop, the batches, the init of the heads, validation and checkpoints."""
