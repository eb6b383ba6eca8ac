"""Celery entry point: executes what the queue names."""
