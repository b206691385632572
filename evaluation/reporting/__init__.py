"""The report: figures, tables, sections and templates."""
