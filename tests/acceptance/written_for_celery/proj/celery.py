from celery import Celery

app = Celery("proj", include=["proj.tasks", "proj.shared"])
app.config_from_object("celeryconfig", namespace="CELERY")

if __name__ == "__main__":
    app.start()
