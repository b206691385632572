"""Accounts, roles and sessions: who may do what."""
