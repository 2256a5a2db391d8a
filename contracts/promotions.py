"""Numbers that a person has promoted into the contracts, one line each, so that any can be undone.

The lines lie beside the contract files, in `promotions.jsonl`, because the contracts may belong to
several homes; they are a record and no contract. The journals of the homes repeat them.

A line is durable before its contract changes. So a crash in between leaves a promotion that the
contract does not say: it is recognised by its number, and finished or dropped by a person.
"""

from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

from contracts.editing import checked, edited, node_at, put, root_of, scalar
from contracts.promotion_record import RECORD, TORN, append_durably, read_record
from contracts.reading import FILES, FOLDER, content_hash, contracts_hash
from engine.errors import ContractError, InputRefused
from engine.learning.promotion import Evidence, Promotion

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

    The same promotion once more finishes one that a crash cut off. Raises `ContractError` for a key
    or value the contracts refuse and `InputRefused` for a file that no promotion may touch, without
    a reason, or while another promotion is unfinished; nothing is written then.
    """
    if file not in PROMOTABLE:
        expected = ", ".join(PROMOTABLE)
        known = "a contract, but learning may not touch it" if file in FILES else "no contract"
        raise InputRefused(f"promote: expected one of {expected}, got '{file}', which is {known}")
    if not reason.strip():
        raise InputRefused("promote: expected a reason, got none; say why the number is better")
    place = folder or FOLDER
    pending = unfinished(place)
    if pending is not None:
        asked = (file, key, float(value), None)
        if asked != (pending.file, pending.key, pending.after, pending.undoes):
            raise InputRefused(f"promote: {_ways_out(pending)}")
        return _finished(place, pending)
    return _exchange(place, file, key, value, at=at, by=by, reason=reason, evidence=evidence)


def roll_back(*, at: datetime, by: str, folder: Path | None = None) -> Promotion:
    """Take back the newest promotion that has not been taken back yet.

    One that a crash cut off before its contract was written is taken back in the record alone; a
    rollback that was cut off itself is finished. Raises `InputRefused` when there is none, or when
    its number has been changed since.
    """
    place = folder or FOLDER
    pending = unfinished(place)
    if pending is not None:
        if pending.undoes is not None:
            return _finished(place, pending)
        return _dropped(place, pending, at=at, by=by)
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
    return read_record(folder or FOLDER).lines


def unfinished(folder: Path | None = None) -> Promotion | None:
    """The newest promotion if its contract still says what it said before it; else null.

    A crash between record and contract leaves it so, and so does a person who puts the number back.
    """
    place = folder or FOLDER
    lines = promotions(place)
    if not lines or lines[-1].before == lines[-1].after:
        return None
    try:
        now = _value(place, lines[-1].file, lines[-1].key)
    except ContractError:  # The key is gone: somebody has rewritten the contract since.
        return None
    return lines[-1] if now == lines[-1].before else None


def unsettled(folder: Path | None = None) -> str | None:
    """What a crash left of a promotion, in words, with the ways out; null if nothing."""
    place = folder or FOLDER
    pending, torn = unfinished(place), read_record(place).torn
    found = [] if pending is None else [_ways_out(pending)]
    if torn:
        found.append(
            f"{place / RECORD}: its last line was torn by a crash before any contract was changed; "
            f"the next promote or rollback puts it aside in {TORN}"
        )
    return "; ".join(found) or None


def _ways_out(pending: Promotion) -> str:
    what = f"{pending.file}.yaml says {pending.key} is {pending.before:g}"
    if pending.undoes is not None:
        return (
            f"promotion {pending.undoes} was taken back in the record, but {what}: a crash came in "
            "between, or somebody put it back by hand; finish it with credence rollback"
        )
    return (
        f"promotion {pending.number} is recorded, but {what} and not {pending.after:g}: a crash "
        "came in between, or somebody put it back by hand; finish it by the same credence promote, "
        "or drop it with credence rollback"
    )


def _finished(folder: Path, pending: Promotion) -> Promotion:
    """Write the contract of a promotion whose line is there."""
    now = contracts_hash(folder)
    if now != pending.hash_before:
        raise InputRefused(
            f"{folder}: expected contracts {pending.hash_before[:12]}, as promotion "
            f"{pending.number} found them, got {now[:12]}; write {pending.after:g} at "
            f"{pending.key} of {pending.file}.yaml by hand"
            + ("" if pending.undoes is not None else ", or drop it with credence rollback")
        )
    put(
        folder / f"{pending.file}.yaml",
        _text_with(folder, pending.file, pending.key, pending.after),
    )
    return pending


def _dropped(folder: Path, pending: Promotion, *, at: datetime, by: str) -> Promotion:
    """Take back a promotion that the contract never said."""
    now = contracts_hash(folder)
    done = Promotion(
        number=pending.number + 1,
        at=at,
        by=by,
        file=pending.file,
        key=pending.key,
        before=pending.before,
        after=pending.before,
        reason=f"drops promotion {pending.number}, which its contract does not say",
        hash_before=now,
        hash_after=now,
        undoes=pending.number,
        evidence=pending.evidence,
    )
    append_durably(folder, done)
    return done


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
    text = _text_with(folder, file, key, value)
    done = Promotion(
        number=len(promotions(folder)) + 1,
        at=at,
        by=by,
        file=file,
        key=key,
        before=before,
        after=float(value),
        reason=reason,
        hash_before=known,
        hash_after=content_hash(checked(path, text)),
        undoes=undoes,
        evidence=evidence,
    )
    append_durably(folder, done)
    put(path, text)
    return done


def _text_with(folder: Path, file: str, key: str, value: float) -> str:
    """The text of a contract file with another number at a key."""
    path = folder / f"{file}.yaml"
    text = path.read_text(encoding="utf-8")
    node = node_at(root_of(text, path.name), key, path.name)
    is_whole = "." not in node.value and float(value).is_integer()
    return edited(text, [(node, scalar(int(value) if is_whole else float(value)))])


def _value(folder: Path, file: str, key: str) -> float:
    path = folder / f"{file}.yaml"
    node = node_at(root_of(path.read_text(encoding="utf-8"), path.name), key, path.name)
    try:
        return float(Decimal(node.value))
    except InvalidOperation:
        raise ContractError(
            f"{path.name}: expected a number at '{key}', got {node.value!r}; name another key"
        ) from None
