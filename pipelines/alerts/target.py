"""Where alerts go; the one place that knows apprise. An address holds passwords: it is not shown.

Apprise says in its log what it sends and where, addresses included, so its log is kept shut and a
failure is told by the number and kind of the target.
"""

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from pydantic import SecretStr

from engine.errors import AlertUndelivered, SettingsError
from pipelines.alerts.alert import Alert

TALKATIVE: Final = ("apprise", "urllib3.connectionpool", "requests")
LABEL_LETTERS_MAX: Final = 16


@dataclass(frozen=True, slots=True)
class Target:
    """One messenger. `label` names it to a person, `key` in a file; neither betrays the address."""

    label: str
    key: str
    messenger: Any

    def send(self, alert: Alert) -> None:
        """Tell it once; raises `AlertUndelivered` when the messenger does not take it."""
        if not self.messenger.notify(
            title=alert.title, body=alert.text, notify_type=alert.urgency.value
        ):
            raise AlertUndelivered(
                f"{self.label}: expected the alert {alert.title!r} to be taken, it was refused or "
                "nobody answered; check CREDENCE_ALERTS and the network (credence checklist)"
            )


def targets_of(addresses: Sequence[SecretStr]) -> tuple[Target, ...]:
    """The messengers behind apprise addresses; raises `SettingsError` for one it cannot read."""
    if not addresses:
        return ()
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Its plug-ins' imports are not ours.
        import apprise

        return tuple(_target(apprise, number, each) for number, each in enumerate(addresses, 1))


def _target(apprise: Any, number: int, address: SecretStr) -> Target:
    url = address.get_secret_value()
    messenger = apprise.Apprise()
    if not messenger.add(url):
        raise SettingsError(
            f"CREDENCE_ALERTS: address {number} is none that apprise knows; expected one such as "
            "mailto://, tgram://, ntfy:// or json:// with everything its messenger needs"
        )
    kind = url.partition("://")[0][:LABEL_LETTERS_MAX]
    return Target(
        label=f"alert target {number} ({kind})",
        key=sha256(url.encode()).hexdigest()[:16],
        messenger=messenger,
    )
