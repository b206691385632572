"""From a photo or a description to sightings, and from sightings to a route."""
