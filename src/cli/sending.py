"""Bringing a file to the API as one import, whose rows are taken once however often it is interrupted."""

import itertools
import time
from collections.abc import Iterator
from contextlib import suppress

from cli.client import Client, Json, NotNow, Refused
from cli.exits import Failure, TryLater
from cli.patience import Patience
from cli.progress import Progress
from cli.sources import Source, SourceChanged

_LOOK_EVERY = 1.0  # seconds
# Another upload of the same file began first, or got further meanwhile: look again how far it is.
_OVERTAKEN = {"POST": "idempotency_conflict", "PATCH": "validation_failed"}


class Sending:
    """Sends one source. `known` is the import as it was last seen, None while there is none."""

    def __init__(
        self, client: Client, patience: Patience, progress: Progress, source: Source, format_: str, *, dry_run: bool
    ) -> None:
        """Take by whom to send and whom to tell, and what to send as what."""
        self.known: Json | None = None
        self._client = client
        self._patience = patience
        self._progress = progress
        self._source = source
        self._query = {"format": format_, "dry_run": str(dry_run).lower()}
        # A dry run is made anew: what is acceptable may have changed since the last one.
        self._name = f"{f'dry-run:{time.time_ns()}' if dry_run else 'file'}:{format_}"
        self._key = ""
        self._offset = -1

    def run(self) -> Json:
        """Send what the API has not of the source; return the import when all of it is committed, or will never be.

        Raises:
            TryLater: it cannot be sent now; what was sent stays.
            Refused: the file is not what it should be.
            NotAllowed: the token does not suffice.
            SourceChanged: the file was written to; its import is canceled.

        """
        digest = self._source.digest()
        self._patience.keep_trying(lambda: self._choose_key(digest))
        try:
            return self._patience.keep_trying(self._send)
        except SourceChanged:
            self._withdraw()
            raise

    def _choose_key(self, digest: str) -> None:
        """Settle on the import of this content that is under way or done, else on a new one."""
        for number in itertools.count(1):
            self._key = f"{self._name}:{digest}:{number}"
            known = self._look()
            if known is None or known["state"] not in {"failed", "canceled"}:
                return

    def _look(self) -> Json | None:
        """Return the import as it is now, and keep it."""
        self.known = self._client.find_import(self._key)
        return self.known

    def _send(self) -> Json:
        known = self._look()
        if known is not None and known["state"] != "receiving":
            if self._offset < 0:
                self._progress.note(f"{known['id']} has this file since {known['created_at']}; nothing is sent.")
            return known
        self._refuse_spent(known)
        offset = known["bytes_received"] if known else 0
        if offset > self._offset:
            self._patience.reward()
        self._offset = offset
        if known is None:
            return self._upload("POST", "/v1/imports", {"idempotency-key": self._key}, params=self._query)
        self._progress.note(f"Going on with {known['id']} at byte {offset:,}.")
        return self._upload("PATCH", f"/v1/imports/{known['id']}", {"upload-offset": str(offset)})

    def _upload(self, method: str, path: str, headers: dict[str, str], **options: object) -> Json:
        if self._source.size is not None:
            headers["content-length"] = str(self._source.size - self._offset)
        self._progress.begin(self._offset, self._source.size)
        try:
            self.known = self._client.call(method, path, headers=headers, content=self._pieces(), **options)
        except Refused as error:
            if error.code == "invalid_status_transition" and (known := self._look()):
                return known  # somebody canceled it meanwhile
            if error.code == _OVERTAKEN[method]:
                raise NotNow(error.message.rstrip("."), answered=True) from error
            raise
        return self.known

    def _pieces(self) -> Iterator[bytes]:
        """Yield the rest of the source, and look after the import each second."""
        sent, look_at = self._offset, time.monotonic() + _LOOK_EVERY
        for piece in self._source.pieces(self._offset):
            yield piece
            sent += len(piece)
            self._progress.sent(sent)
            if time.monotonic() > look_at:
                self._look_after()
                look_at = time.monotonic() + _LOOK_EVERY

    def _look_after(self) -> None:
        with suppress(NotNow):
            if known := self._look():
                self._progress.executed(known)

    def _refuse_spent(self, known: Json | None) -> None:
        if self._source.is_spent:
            arrived = f"What arrived is taken, as {known['id']}. " if known else ""
            raise TryLater(
                f"The connection broke, and standard input cannot be read twice. {arrived}Send all of it again:"
                " rows that were taken are not taken twice."
            )

    def _withdraw(self) -> None:
        """Cancel the import of a file that is no longer the one that it is named after."""
        with suppress(NotNow, Failure):
            if (known := self._look()) and known["state"] == "receiving":
                self._client.call("POST", f"/v1/imports/{known['id']}/cancel")
