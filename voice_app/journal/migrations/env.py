"""What Alembic runs first. The connection, and its transaction, are the caller's: ``schema.prepare``."""

from alembic import context

from voice_app.journal.schema import VERSIONS
from voice_app.journal.tables import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, version_table=VERSIONS
)
context.run_migrations()
