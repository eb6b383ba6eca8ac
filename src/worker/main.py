"""Celery's entry point: `celery --app worker.main worker` and `... beat`."""

import warnings

from celery import signals
from celery.platforms import SecurityWarning

from core.garbage import collect_rarely
from core.logs import configure_logs
from core.settings import load_settings
from worker.consumer import SteadyConsumer
from worker.tasks import app

app.conf.worker_consumer = SteadyConsumer
# It warns of root because pickled messages run code; here messages are JSON and hold nothing but ids.
warnings.filterwarnings("ignore", category=SecurityWarning)


collect_rarely()


@signals.setup_logging.connect
def _configure_logs(**_: object) -> None:
    settings = load_settings()
    configure_logs(settings.log_format, settings.log_level)
