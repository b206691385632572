"""A district's data: layout, readers of the standard formats, checks, importers and the synthetic demo district."""
