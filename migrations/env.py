"""How Alembic reaches the database, and what it compares the migrations with."""

from alembic import context
from sqlalchemy import create_engine, pool

import core.activity.model
import core.audit
import core.crm.model
import core.imports.model
import core.requests
import core.tasks.model
import core.tenancy.model  # noqa: F401 (each of these declares tables)
from core.db import Row
from core.settings import load_settings

engine = create_engine(
    str(load_settings().database_url).replace("postgresql://", "postgresql+psycopg://", 1), poolclass=pool.NullPool
)
with engine.connect() as connection:
    # Whoever comes after a migration that waits for a lock waits behind it: better the migration gives up.
    connection.exec_driver_sql("SET lock_timeout = '5s'")
    connection.commit()
    context.configure(connection=connection, target_metadata=Row.metadata, compare_server_default=True)
    with context.begin_transaction():
        context.run_migrations()
