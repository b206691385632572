"""From checkpoints to engines, their parity and their predictions."""
