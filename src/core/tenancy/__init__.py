"""Tenancy: workspaces, the actors in them, and the tokens that speak for an actor."""
