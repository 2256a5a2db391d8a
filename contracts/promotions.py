"""Numbers that a person has promoted into the contracts, one line each, so that any can be undone.

The lines lie beside the contract files, in `promotions.jsonl`, because the contracts may belong to
several homes; they are a record and no contract. The journals of the homes repeat them.
"""

import json
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

from contracts.editing import edited, node_at, root_of, scalar, write_checked
from contracts.reading import FILES, FOLDER, contracts_hash
from engine.canonical import TYPE, to_json
from engine.errors import ContractError, InputRefused, JournalError
from engine.learning.promotion import Evidence, Promotion, promotion_of

RECORD: Final = "promotions.jsonl"

PROMOTABLE: Final = ("beliefs", "strategies")
"""Files whose numbers a promotion may change. The constitution is not among them, and never is."""


def promote(
    file: str,
    key: str,
    value: float,
    *,
    at: datetime,
    by: str,
    reason: str,
    evidence: Evidence | None = None,
    folder: Path | None = None,
) -> Promotion:
    """Write one number into its contract file and a line into the record.

    Raises `ContractError` for a key or value the contracts refuse and `InputRefused` for a file
    that no promotion may touch, or without a reason; nothing is written then.
    """
    if file not in PROMOTABLE:
        expected = ", ".join(PROMOTABLE)
        known = "a contract, but learning may not touch it" if file in FILES else "no contract"
        raise InputRefused(f"promote: expected one of {expected}, got '{file}', which is {known}")
    if not reason.strip():
        raise InputRefused("promote: expected a reason, got none; say why the number is better")
    place = folder or FOLDER
    return _exchange(place, file, key, value, at=at, by=by, reason=reason, evidence=evidence)


def roll_back(*, at: datetime, by: str, folder: Path | None = None) -> Promotion:
    """Take back the newest promotion that has not been taken back yet.

    Raises `InputRefused` when there is none, or when its number has been changed since.
    """
    place = folder or FOLDER
    lines = promotions(place)
    undone = {line.undoes for line in lines}
    standing = [line for line in lines if line.undoes is None and line.number not in undone]
    if not standing:
        raise InputRefused(f"{place / RECORD}: expected a promotion to roll back, found none")
    last = standing[-1]
    now = _value(place, last.file, last.key)
    if now != last.after:
        raise InputRefused(
            f"{last.file}.yaml: expected {last.key} to be {last.after:g}, as promotion "
            f"{last.number} left it, got {now:g}; change it by hand"
        )
    reason = f"rolls back promotion {last.number}: {last.reason}"
    return _exchange(
        place,
        last.file,
        last.key,
        last.before,
        at=at,
        by=by,
        reason=reason,
        evidence=last.evidence,
        undoes=last.number,
    )


def promotions(folder: Path | None = None) -> list[Promotion]:
    """Every line of the record, oldest first; raises `ContractError` naming a broken one."""
    path = (folder or FOLDER) / RECORD
    if not path.exists():
        return []
    found: list[Promotion] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            found.append(promotion_of(json.dumps({TYPE: Promotion.__name__, **json.loads(line)})))
        except (json.JSONDecodeError, JournalError, TypeError, ValueError) as error:
            raise ContractError(
                f"{path}, line {number}: expected a promotion, got {line[:80]!r} ({error}); "
                "restore the line"
            ) from error
    return found


def _exchange(
    folder: Path,
    file: str,
    key: str,
    value: float,
    *,
    at: datetime,
    by: str,
    reason: str,
    evidence: Evidence | None,
    undoes: int | None = None,
) -> Promotion:
    path, before, known = folder / f"{file}.yaml", _value(folder, file, key), contracts_hash(folder)
    text = path.read_text(encoding="utf-8")
    number = len(promotions(folder)) + 1
    node = node_at(root_of(text, path.name), key, path.name)
    is_whole = "." not in node.value and float(value).is_integer()
    write_checked(path, edited(text, [(node, scalar(int(value) if is_whole else float(value)))]))
    done = Promotion(
        number=number,
        at=at,
        by=by,
        file=file,
        key=key,
        before=before,
        after=float(value),
        reason=reason,
        hash_before=known,
        hash_after=contracts_hash(folder),
        undoes=undoes,
        evidence=evidence,
    )
    with (folder / RECORD).open("a", encoding="utf-8") as record:
        record.write(to_json(done) + "\n")
    return done


def _value(folder: Path, file: str, key: str) -> float:
    path = folder / f"{file}.yaml"
    node = node_at(root_of(path.read_text(encoding="utf-8"), path.name), key, path.name)
    try:
        return float(Decimal(node.value))
    except InvalidOperation:
        raise ContractError(
            f"{path.name}: expected a number at '{key}', got {node.value!r}; name another key"
        ) from None
