"""How likely two sightings show one person: pure mathematics, no input or output."""
