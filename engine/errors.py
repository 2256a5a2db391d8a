"""The error tree, grouped by the reaction each error calls for.

Expected outcomes (no trade, a reject, a partial fill) are values, not errors. An error's message
says what was expected, what arrived, which key, and what to do next.
"""


class CredenceError(Exception):
    """Base of every error the desk raises on purpose."""


class InputRefused(CredenceError):
    """Reaction: correct the input and run again. Nothing was written."""


class ContractError(InputRefused):
    """A contract file has an unknown, missing, ill-typed or too loose value."""


class SourceError(InputRefused):
    """A bar source cannot be read as what it claims to be."""


class SchemaError(InputRefused):
    """Rows do not fit the schema of their table."""


class CalendarError(InputRefused):
    """A date or instant is outside the sessions the calendar knows."""


class OffGridPrice(InputRefused):
    """A price is not a whole number of ticks."""


class SettingsError(InputRefused):
    """An environment setting or command argument is unknown or out of range."""


class BrokerMismatch(InputRefused):
    """The broker's account or instrument is not the one that was asked for; nothing was sent."""


class RetryLater(CredenceError):
    """Reaction: wait and retry, within a bound."""


class InstanceBusy(RetryLater):
    """Another process holds the Dagster instance or the port of its UI."""


class SessionBusy(RetryLater):
    """Another process acts for the desk of this data home."""


class WarehouseBusy(RetryLater):
    """Another process holds the warehouse's write lock."""


class StorageFull(RetryLater):
    """The disk refused a write; the previous version of the file is intact."""


class StoreUnreachable(RetryLater):
    """The object store of the market tables did not answer; nothing there is half written."""


class BrokerUnreachable(RetryLater):
    """The broker is not connected: the command was not sent, the query was not asked."""


class ClientIdInUse(BrokerUnreachable):
    """Another connection holds our client id at the broker; another id would lose our orders."""


class BrokerTimeout(RetryLater):
    """The broker did not answer in time: nothing is known, which is not 'nothing there'."""


class AlertUndelivered(RetryLater):
    """A messenger did not take an alert; it stays in the journal and is told again."""


class StopEntering(CredenceError):
    """Reaction: no new entries until the cause is gone; open positions stay protected."""


class MissingContext(StopEntering):
    """The context of the session has not been computed or does not match its contracts."""


class DuplicateOrderRef(StopEntering):
    """An order ref was to be sent a second time; the first order is untouched."""


class NotAuthorised(CredenceError):
    """Reaction: a person has to allow it. Nothing was sent."""


class FlattenNow(CredenceError):
    """Reaction: cancel everything and close the position."""


class HaltDesk(CredenceError):
    """Reaction: stop the desk and alert a person; the state on disk is kept as it is."""


class JournalError(HaltDesk):
    """The journal's chain is broken or its file cannot be written."""


class ImpossibleTransition(HaltDesk):
    """A state machine met an event its table does not hold."""
