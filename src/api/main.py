"""The web process: `uvicorn api.main:app`."""

from api.app import create_app
from core.garbage import collect_rarely
from core.logs import configure_logs
from core.settings import load_settings

settings = load_settings()
configure_logs(settings.log_format, settings.log_level)
app = create_app(settings)
collect_rarely()
