"""A reusable module, which knows no application."""

from celery import shared_task


@shared_task
def mul(x, y):
    return x * y


@shared_task(bind=True, name="web.whoami")
def whoami(self):
    return [self.name, self.request.delivery_info["routing_key"]]
