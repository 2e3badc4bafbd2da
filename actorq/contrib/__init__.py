"""What is there for programs that come from Celery, under the names that they know."""
