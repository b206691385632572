"""Importers: published data sets to a district's layout."""
