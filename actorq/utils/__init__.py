"""What programs written for Celery import from its `utils`."""
