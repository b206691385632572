"""Checks of a district's data, one part of it a module."""
