"""A real Postgres and a real Valkey from wheels, for a machine that has only Python.

`baton up` and the tests run them; production brings its own. A home folder holds all of
one pair of servers::

    postgres/ valkey/              the data, which may be wiped between a stop and a start
    postgres.json valkey.json      port and passwords, mode 0600
    log/                           what the servers say
    *.lock                         who runs them

The launcher owns its servers: they end with it, even when it is killed.
"""

from embedded.errors import EmbeddedServerError
from embedded.postgres import EmbeddedPostgres
from embedded.valkey import EmbeddedValkey

__all__ = ["EmbeddedPostgres", "EmbeddedServerError", "EmbeddedValkey"]
