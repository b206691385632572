"""The recording behind a sighting: its full frame, and clips of the minutes around it."""
