"""Middleware that every request passes before it reaches an endpoint."""
