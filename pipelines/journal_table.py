"""The journal's tables in SQLite, how safely a file is written, and how events get into it.

`events` is a view with every column of `engine.journal.Event`; the table beneath stores once what
the events of a session share.
"""

import sqlite3
from collections.abc import Iterator
from enum import Enum
from functools import lru_cache
from itertools import chain, islice
from typing import Final

from engine.journal import Row

ACTS: Final = "kind not in ('bar', 'decision')"
"""What the index `entries_acts` holds; SQLite uses it for a query that says so in these words."""

SCHEMA: Final = """
create table if not exists stamps (
  id integer primary key,
  session_date text not null,
  contracts_hash text not null,
  code_version text not null,
  first_seq integer not null,
  unique (session_date, contracts_hash, code_version)
);
create table if not exists entries (
  seq integer primary key,
  stamp integer not null references stamps (id),
  at text not null,
  kind text not null,
  decision_id text not null,
  order_ref text not null,
  payload text not null,
  hash text not null
);
create index if not exists entries_acts on entries (kind, seq)
  where {acts};
create table if not exists head (one integer primary key check (one = 1), seq integer, hash text);
create trigger if not exists entries_never_change before update on entries
  begin select raise (abort, 'the journal is append-only'); end;
create trigger if not exists entries_never_vanish before delete on entries
  begin select raise (abort, 'the journal is append-only'); end;
create view if not exists events as
  select e.seq, e.at, s.session_date, e.kind, e.decision_id, e.order_ref, e.payload,
         s.contracts_hash, s.code_version,
         coalesce((select p.hash from entries p where p.seq = e.seq - 1), '{genesis}')
           as previous_hash,
         e.hash
  from entries e join stamps s on s.id = e.stamp;
"""
"""Wants `genesis`, the hash before the first event, and `acts`, which is `ACTS`."""

_BLOCKS: Final = (64, 8, 1)
"""How many events one statement takes, the largest that are left first."""


class Survives(Enum):
    """What a journal in the making has to outlive; the value is its pragmas.

    `POWER_CUT` holds every commit that returned. `KILL` may lose the last of them to a power cut,
    never a part of one. `NOTHING` is for a file written aside, which counts once it is closed: it
    is one transaction, and each page is written once. A live commit writes its few pages whole, a
    replay's session fills many.
    """

    POWER_CUT = ("page_size=8192", "journal_mode=WAL", "synchronous=FULL")
    KILL = ("page_size=65536", "journal_mode=WAL", "synchronous=NORMAL")
    NOTHING = ("page_size=32768", "journal_mode=MEMORY", "synchronous=OFF")


def insert(connection: sqlite3.Connection, rows: Iterator[Row], stamp_id: int) -> None:
    """Store events, many to a statement: its start and end would cost more than its rows."""
    while block := list(islice(rows, _BLOCKS[0])):
        done = 0
        for size in _BLOCKS:
            statement = _insertion(size)
            while len(block) - done >= size:
                values = chain.from_iterable(block[done : done + size])
                connection.execute(statement, (stamp_id, *values))
                done += size


@lru_cache
def _insertion(rows: int) -> str:
    """Takes the stamp's number and then the fields of so many `Row`."""
    columns = ", ".join(Row._fields)
    values = ", ".join(["(?1, ?, ?, ?, ?, ?, ?, ?)"] * rows)
    return f"insert into entries (stamp, {columns}) values {values}"  # noqa: S608
