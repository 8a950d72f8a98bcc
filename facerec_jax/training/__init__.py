"""Learning: losses, steps, the loop, checkpoints, metrics."""
