"""What a stored table promises: columns with type, unit, null policy and meaning, and row rules.

A `Table` is declared once and read three ways: as a Pandera schema, as a fast validation of eager
frames, and as a page of the documentation.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

import polars as pl

from engine.errors import SchemaError

if TYPE_CHECKING:
    from pandera.api.polars.types import PolarsData
    from pandera.polars import Check, DataFrameSchema

UTC: Final = pl.Datetime("us", "UTC")
ROWS_SHOWN: Final = 3

ROUNDING: Final = 1e-9
"""Slack of the bounds of a float: a mean of values in [0, 1] may come out as 1 + 2e-16."""

NEVER: Final = "never"
"""The null policy of a column that always has a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: `null` says when it may be null, `NEVER` if it may not; bounds are inclusive.

    `before` is what the rows of a table written before it had this column of text have in it.
    """

    name: str
    dtype: pl.DataType
    unit: str
    meaning: str
    null: str = NEVER
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] | None = None
    pattern: str | None = None
    before: str | None = None

    @property
    def is_nullable(self) -> bool:
        return self.null != NEVER

    def but(self, *, meaning: str) -> "Column":
        """The same column with another meaning."""
        return replace(self, meaning=meaning)

    def rules(self) -> list["Rule"]:
        """What each value must satisfy; a null satisfies all but the null policy."""
        return rules_of((self,))


@dataclass(frozen=True, slots=True)
class Rule:
    """What must hold on every row, in words and as an expression; unknown is no violation."""

    text: str
    holds: pl.Expr
    columns: tuple[str, ...]

    @property
    def is_kept(self) -> pl.Expr:
        return self.holds.fill_null(value=True)


def rules_of(alike: Sequence[Column]) -> list[Rule]:
    """The rules of columns that differ in name, unit and meaning only, each over all of them."""
    column, names = alike[0], tuple(each.name for each in alike)
    values, said = pl.col(names), ", ".join(names)
    slack = ROUNDING if column.dtype.is_float() else 0
    rules = []
    if not column.is_nullable:
        rules.append(Rule(f"{said} is not null", values.is_not_null(), names))
    if column.dtype.is_float():
        rules.append(Rule(f"{said} is finite", values.is_finite(), names))
    if column.low is not None:
        rules.append(Rule(f"{said} >= {column.low:g}", values >= column.low - slack, names))
    if column.high is not None:
        rules.append(Rule(f"{said} <= {column.high:g}", values <= column.high + slack, names))
    if column.choices is not None:
        choices = ", ".join(column.choices)
        rules.append(Rule(f"{said} is one of {choices}", values.is_in(column.choices), names))
    if column.pattern is not None:
        is_like = values.str.contains(column.pattern)
        rules.append(Rule(f"{said} looks like {column.pattern}", is_like, names))
    return rules


@dataclass(frozen=True, kw_only=True)
class Table:
    """One stored table. Rows are identified by `key`, if any; column order means nothing."""

    name: str
    meaning: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    row_rules: tuple[Rule, ...] = ()

    @cached_property
    def dtypes(self) -> dict[str, pl.DataType]:
        """Type of each column, in the order in which they are stored."""
        return {column.name: column.dtype for column in self.columns}

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """Every rule of the rows: of single columns, between columns, and that keys are unique."""
        of_columns = [rule for column in self.columns for rule in column.rules()]
        return (*of_columns, *self.row_rules, *self._key_rules)

    @property
    def _key_rules(self) -> tuple[Rule, ...]:
        if not self.key:
            return ()
        is_unique = ~pl.struct(self.key).is_duplicated()
        return (Rule(f"({', '.join(self.key)}) is unique", is_unique, self.key),)

    def validate(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame in stored column order; raises `SchemaError` naming column, rule and rows.

        Only eager frames: of a `LazyFrame` Pandera sees the types, never the rows.
        """
        if not isinstance(frame, pl.DataFrame):
            raise SchemaError(
                f"{self.name}: expected an eager DataFrame, got {type(frame).__name__}; "
                "collect it first, only then its rows are checked"
            )
        self._check_structure(frame)
        ordered = frame.select(*self.dtypes)
        from pandera.errors import SchemaError as PanderaSchemaError

        try:
            self._rows_gate.validate(ordered)
        except PanderaSchemaError as error:
            raise self._violation(ordered) from error
        return ordered

    def _check_structure(self, frame: pl.DataFrame) -> None:
        found = dict(frame.schema)
        if missing := [name for name in self.dtypes if name not in found]:
            raise SchemaError(
                f"{self.name}: missing column {', '.join(missing)}; add it to the frame"
            )
        if extra := [name for name in found if name not in self.dtypes]:
            raise SchemaError(
                f"{self.name}: unknown column {', '.join(extra)}; "
                "drop it or declare it in contracts/schemas"
            )
        for name, dtype in self.dtypes.items():
            if found[name] != dtype:
                raise SchemaError(
                    f"{self.name}: column {name}: expected {dtype}, got {found[name]}; cast it"
                )

    def _violation(self, frame: pl.DataFrame) -> SchemaError:
        """The first broken rule with the first rows that break it."""
        for rule in self.rules:
            broken = frame.with_row_index("row").filter(~rule.is_kept)
            if broken.height:
                names = dict.fromkeys(("row", *self.key, *rule.columns))
                rows = "; ".join(
                    ", ".join(f"{name}={value}" for name, value in row.items())
                    for row in broken.select(*names).head(ROWS_SHOWN).iter_rows(named=True)
                )
                return SchemaError(
                    f"{self.name}: column {', '.join(rule.columns)}: expected that {rule.text}, "
                    f"but {broken.height} of {frame.height} rows break it: {rows}; "
                    "correct the stage that made them"
                )
        raise AssertionError(f"{self.name}: the gate refused rows that break no rule")

    @cached_property
    def _rows_gate(self) -> "DataFrameSchema":
        """All rules as one Pandera check.

        One check per column costs 2 ms each, 0.1 s for a table of 50 columns; fused they cost 2 ms.
        """
        import pandera.polars as pa

        alike: dict[Column, list[Column]] = {}
        for column in self.columns:
            null = "sometimes" if column.is_nullable else NEVER
            kind = replace(column, name="", unit="", meaning="", null=null)
            alike.setdefault(kind, []).append(column)
        of_columns = (rule for columns in alike.values() for rule in rules_of(columns))
        kept = pl.all_horizontal(
            rule.is_kept for rule in (*of_columns, *self.row_rules, *self._key_rules)
        )

        def every_rule(data: "PolarsData") -> bool:
            return bool(data.lazyframe.select(kept.all()).collect().item())

        return pa.DataFrameSchema(checks=[pa.Check(every_rule)], name=self.name)

    @cached_property
    def schema(self) -> "DataFrameSchema":
        """The whole table as a Pandera schema, column by column, for tools that read one."""
        import pandera.polars as pa

        return pa.DataFrameSchema(
            columns={
                column.name: pa.Column(
                    column.dtype,
                    checks=[_check(rule) for rule in column.rules()],
                    nullable=column.is_nullable,
                    description=column.meaning,
                    metadata=_metadata(column),
                )
                for column in self.columns
            },
            checks=[_check(rule) for rule in self.row_rules],
            unique=list(self.key) or None,
            strict=True,
            name=self.name,
            description=self.meaning,
        )


def _check(rule: Rule) -> "Check":
    import pandera.polars as pa

    def holds(data: "PolarsData") -> pl.LazyFrame:
        return data.lazyframe.select(rule.is_kept)

    return pa.Check(holds, name=rule.text, error=rule.text)


def _metadata(column: Column) -> dict[str, object]:
    return {
        "unit": column.unit,
        "null": column.null,
        "low": column.low,
        "high": column.high,
        "choices": column.choices,
    }
