"""Multi-label attributes on an OSNet trunk."""
