"""What Alembic runs: all migrations in the transaction of the connection that `services.storage.schema` gives."""

from typing import Any, Literal

import sqlalchemy as sa
from alembic import context

from services.storage.tables import metadata
from services.storage.tables.columns import Instant


def _render_item(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """A migration must not change when our code does: it names plain types."""
    if kind == "type" and isinstance(item, Instant):
        return "sa.BigInteger()"
    if kind == "type" and isinstance(item, sa.JSON):
        return 'sa.JSON().with_variant(postgresql.JSONB(), "postgresql")'
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_item=_render_item,
    render_as_batch=True,  # SQLite changes a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
