"""Scores of problems, routes and identities over several cameras."""
