"""CRM directory: the resources that a task can be attached to."""
