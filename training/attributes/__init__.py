"""Multi-label attributes of a person, on an OSNet backbone."""
