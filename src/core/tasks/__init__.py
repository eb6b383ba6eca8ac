"""Tasks: the follow-ups that agents and humans create, list and complete."""
