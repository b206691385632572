"""Probability that sightings show one person, from appearance, attributes, time and place: mathematics without I/O."""
