import pytest

from core.settings import Settings
from tests.core.imports.importing import Importing
from tests.lanes import Lanes
from tests.workspaces import Workspace


@pytest.fixture
def importing(settings: Settings, workspace: Workspace, lanes: Lanes) -> Importing:
    return Importing(settings, workspace, lanes)
