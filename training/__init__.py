"""Trainings of the three networks: detector, attributes and re-ID."""
