"""What the batches of an import tell of it, in their own transactions."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, LiteralString

from psycopg import Connection

from core import sets
from core.decisions import Verdict
from core.imports.model import ImportTallyRow

_TELL: LiteralString = sets.insert(ImportTallyRow, ("tenant_id", "import_id", "succeeded", "failed"))


def tell_imports(connection: Connection[Any], verdicts: Iterable[Verdict]) -> None:
    """Add to each import what became of its requests in this batch; asks nothing where none is of an import."""
    counts = Counter(
        (verdict.request.tenant_id, verdict.request.import_id, verdict.error is None)
        for verdict in verdicts
        if verdict.request.import_id
    )
    if not counts:
        return
    imports = {(tenant_id, import_id) for tenant_id, import_id, _ in counts}
    told = [
        {
            "tenant_id": tenant_id,
            "import_id": import_id,
            "succeeded": counts[tenant_id, import_id, True],
            "failed": counts[tenant_id, import_id, False],
        }
        for tenant_id, import_id in imports
    ]
    connection.execute(_TELL, sets.rows(told))
