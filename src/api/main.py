"""The web process: `uvicorn api.main:app`."""

import gc

from api.app import create_app
from core.logs import configure_logs
from core.settings import load_settings

settings = load_settings()
configure_logs(settings.log_format, settings.log_level)
app = create_app(settings)
# What is loaded stays. To look through all of it again for what is not would take a tenth of a second now and then, in
# which nobody is answered.
gc.collect()
gc.freeze()
