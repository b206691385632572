"""Readers of foreign formats, one a module; each returns `Annotated` and writes nothing."""
