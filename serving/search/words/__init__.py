"""Reads one Korean or English sentence about a person into conditions of a search, by rules and lists of words."""
