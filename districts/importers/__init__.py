"""Importers: write published data sets in the layout of a district."""
