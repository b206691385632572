"""Search and track: perception, tracker, store, search, route and the service."""
