"""Perception over engines, and the people followed within one camera."""
