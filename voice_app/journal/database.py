"""The database behind a URL: what every database of the journal can do, each in its own words."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, NamedTuple, Protocol, TypeAlias, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Connection, Engine, Table, TextClause, case, func, literal_column
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

from voice_app.journal.tables import calls, servers

if TYPE_CHECKING:  # each dialect is loaded with its database
    from sqlalchemy.dialects import postgresql, sqlite

Insert: TypeAlias = "sqlite.Insert | postgresql.Insert"
OnNotice: TypeAlias = Callable[[str, list[str]], None]
"""Is given a server's id and the ids of the entries it has written."""
Verb: TypeAlias = Literal["open", "read", "write"]

CHANNEL: Final = "voice_app_journal"
"""Where servers on PostgreSQL tell one another of new events."""
ACTS: Final = "voice_app_acts"
"""Where they tell of acts of people on calls, which all servers listen for all the time."""

_T = TypeVar("_T")

_ATTEMPTS: Final = 4
"""How often a transaction is run again that has met another one."""


class JournalError(Exception):
    """The journal cannot be opened, read or written. The message says where, why, and what to do."""


class EventRow(msgspec.Struct):
    """A row of ``events``, its columns in their order."""

    id: str
    call_id: int
    at: float
    kind: str
    data: str
    key: str | None


class NumberedCall(NamedTuple):
    """A call by its number."""

    id: int
    over: bool


class NoticeListener(Protocol):
    """Hears what other processes write, in a thread of its own, until it is closed."""

    def close(self) -> None:
        """Stop listening, and wait until the thread has ended. Closing twice is harmless."""


class Database(ABC):
    """One database. Everything here blocks; several threads may use it, each with connections of its own."""

    shared: ClassVar[bool]
    """Whether more than one process may write to it."""
    engine: Engine
    name: str
    """Where it is, for people: without a password."""
    advice: ClassVar[Mapping[Verb, str]]
    """What to look at when something fails."""
    _reading: ClassVar[Mapping[str, Any]] = {}
    """Options of a connection that only reads."""

    @property
    @abstractmethod
    def now(self) -> ColumnElement[float]:
        """The database's own clock, in seconds since the epoch."""

    @abstractmethod
    def exists(self) -> bool:
        """Whether there is a database, without making one."""

    @abstractmethod
    def insert(self, table: Table) -> Insert:
        """An INSERT that can be told what to do on a conflict."""

    @abstractmethod
    def numbers(self, connection: Connection, call_sids: Collection[str]) -> dict[str, NumberedCall]:
        """The numbers of these calls, where known. None of them is erased before the transaction ends."""

    @abstractmethod
    def forgotten(self, connection: Connection, call_sids: Collection[str]) -> set[str]:
        """Which of these calls were erased for good."""

    @abstractmethod
    def add_events(self, connection: Connection, rows: Sequence[EventRow]) -> None:
        """Add events, those that are there already (by id or by key) excepted."""

    @abstractmethod
    def add_labels(self, connection: Connection, rows: Sequence[tuple[int, str]]) -> None:
        """Label calls, each by its number; those that have a label already keep it."""

    @abstractmethod
    def add_said(self, connection: Connection, rows: Sequence[tuple[int, str, str]]) -> None:
        """Index all that was said on calls: the number of the call, the id of the event, and the words."""

    @abstractmethod
    def remove_said(self, connection: Connection, numbers: Sequence[int]) -> None:
        """Take what was said on these calls out of the index."""

    @abstractmethod
    def has_said(self, connection: Connection, words: str) -> TextClause:
        """Whether somebody said all these words at once on a call (of the table ``calls``)."""

    @abstractmethod
    def lacks_words(self) -> TextClause:
        """Whether the index has nothing that was said on a call (of the table ``calls``)."""

    @abstractmethod
    def json_number(self, column: ColumnElement[str], key: str) -> ColumnElement[float]:
        """The number under a key of the JSON in a column; NULL where there is none."""

    @abstractmethod
    def json_word(self, column: ColumnElement[str], key: str) -> ColumnElement[str]:
        """The text under a key of the JSON in a column, where it is made of letters; else anything."""

    @abstractmethod
    def tell(
        self, connection: Connection, server_id: str, ids: Sequence[str], channel: str = CHANNEL
    ) -> None:
        """Let those who listen know of new events, once the transaction is committed."""

    @abstractmethod
    def listen(
        self, on_notice: OnNotice, on_connected: Callable[[], None], channel: str = CHANNEL
    ) -> NoticeListener:
        """Hear of what any process writes from now on.

        Both callbacks are called in the listener's thread. What is written while there is no connection is
        not told of: ``on_connected`` is called each time that listening begins, to look it up.
        """

    @abstractmethod
    def only_one(self, connection: Connection) -> None:
        """Wait until no other process changes the tables; keep them out until the transaction ends."""

    def make_private(self) -> None:  # noqa: B027 - most have none
        """See that the files of a journal, where it has any, are their owner's only."""

    @abstractmethod
    def scrub(self) -> None:
        """See that what was erased does not stay behind in the database's files."""

    @abstractmethod
    def collided(self, error: DBAPIError) -> bool:
        """Whether the transaction only met another one, and goes through when it is run again."""

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to look something up.

        Raises:
            JournalError: the database cannot be read.
        """
        with (
            self.failing("read"),
            self.engine.connect().execution_options(**self._reading) as connection,
        ):
            yield connection

    def write(self, work: Callable[[Connection], _T], *, unhurried: bool = False) -> _T:
        """Do something in a transaction of its own; again, should it have met another one.

        Args:
            work: is given the transaction.
            unhurried: see ``begin``.

        Raises:
            JournalError: the database cannot be written.
        """
        with self.failing("write"):
            for _ in range(_ATTEMPTS):
                try:
                    with self.begin(unhurried=unhurried) as connection:
                        return work(connection)
                except DBAPIError as error:
                    if not self.collided(error):
                        raise
            with self.begin(unhurried=unhurried) as connection:
                return work(connection)

    @contextmanager
    def begin(self, *, unhurried: bool = False) -> Iterator[Connection]:
        """A transaction that may write, committed at the end of the block.

        Args:
            unhurried: it may take minutes and waits its turn, as what changes the tables or erases does.
        """
        with (
            self.engine.connect().execution_options(writing=True) as connection,
            self._unhurried(connection) if unhurried else nullcontext(),
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def failing(self, verb: Verb) -> Iterator[None]:
        """Errors of the database in the block become ``JournalError``; those of the data stay as they are."""
        try:
            yield
        except (DataError, IntegrityError):
            raise
        except (SQLAlchemyError, self._error) as error:
            reason = _reason(error)
            raise JournalError(
                f"Cannot {verb} the journal at {self.name}: {reason}. {self.advice[verb]}"
            ) from error

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def add_calls(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add what is known of calls to what was known of them. Events may come in any order."""
        # All transactions lock rows in one order: no two wait for each other.
        ordered = sorted(rows, key=lambda row: str(row["call_sid"]))
        connection.exec_driver_sql(self._upsert_call, [dict(row) for row in ordered])

    def beat(self, connection: Connection, server_id: str, state: str, load: str | None) -> None:
        """Write down that a server is alive now."""
        statement = self.insert(servers).values(id=server_id, state=state, beat_at=self.now, load=load)
        new = {name: statement.excluded[name] for name in ("state", "beat_at", "load")}
        connection.execute(statement.on_conflict_do_update(index_elements=[servers.c.id], set_=new))

    @abstractmethod
    def _unhurried(self, connection: Connection) -> AbstractContextManager[None]:
        """Lift the limits of a connection that is in no transaction, for a while."""

    @property
    @abstractmethod
    def _error(self) -> type[Exception]:
        """What the driver raises, where SQLAlchemy is not between."""

    @cached_property
    def _upsert_call(self) -> str:
        """Compiled once: SQLAlchemy would compile it again for each call."""
        statement = self.insert(calls)
        new = statement.excluded
        empty: ColumnElement[str] = literal_column("''")
        first_known = {
            name: case((calls.c[name] == empty, new[name]), else_=calls.c[name])
            for name in ("from_address", "to_address", "direction")
        }
        whole = statement.on_conflict_do_update(
            index_elements=[calls.c.call_sid],
            set_={
                **first_known,
                "status": case((new.closed_at.is_(None), calls.c.status), else_=new.status),
                "opened_at": case(
                    (new.opened_at < calls.c.opened_at, new.opened_at), else_=calls.c.opened_at
                ),
                "closed_at": func.coalesce(calls.c.closed_at, new.closed_at),
            },
        )
        return str(whole.compile(dialect=self._named_dialect, column_keys=_CALL_COLUMNS))

    @property
    @abstractmethod
    def _named_dialect(self) -> sqlite.base.SQLiteDialect | postgresql.base.PGDialect:
        """The dialect with placeholders that have names."""


_CALL_COLUMNS: Final = [column.name for column in calls.c if not column.primary_key]

_ADVICE_FORM: Final = (
    "VOICE_APP_DATABASE_URL should look like sqlite:///voice-app.db (sqlite:////… from the root), or like "
    "postgresql://user:password@host/database"
)


def unsupported(scheme: str) -> JournalError:
    """The URL names a database that is neither SQLite nor PostgreSQL."""
    return JournalError(
        f"The journal cannot be kept in {scheme!r}: only in SQLite or PostgreSQL, with the drivers that come "
        f"with voice-app. {_ADVICE_FORM}."
    )


def malformed(reason: str = "") -> JournalError:
    """The URL is no URL. The reason must not repeat it: there may be a password in it."""
    why = f" ({reason})" if reason else ""
    return JournalError(f"The database URL cannot be understood{why}. {_ADVICE_FORM}.")


def _reason(error: Exception) -> str:
    """What the database said, in one line, and nothing of what it was given."""
    told = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    primary = getattr(getattr(told, "diag", None), "message_primary", None)
    return " ".join(str(primary or told).split()).rstrip(".?")
