"""Metrics, re-ranking, figures and the report; reads predictions, never runs a model."""
