"""How a journal of an older version becomes one of this version: Alembic, run by ``Store.create``.

During a rolling restart the old and the new program write to one database. So a migration only ever adds: a
table, an index, a column that may be left out. It never renames, drops, or asks for what the old program
does not write.

A revision is called ``generation.number``. Programs of one generation work with each other's databases, in
both directions. The day a change cannot be additive it starts the next generation, and older programs
refuse the database with the advice to upgrade. ``schema.HEAD`` names the newest revision; tests hold it, and
``tables``, against these scripts, since a new database is made from ``tables`` without them.
"""
