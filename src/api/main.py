"""The web process: `uvicorn api.main:app`."""

from api.app import create_app
from core.settings import load_settings

app = create_app(load_settings())
