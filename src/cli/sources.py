"""What is imported: a file, which can be read again from any byte, or a stream, which cannot."""

import hashlib
import os
import stat
from collections.abc import Iterator
from io import BufferedReader
from uuid import uuid4

from cli.exits import Failure

_PIECE = 65_536  # bytes


class SourceChanged(Failure):
    """The file is not what it was when the import began."""


class Source:
    """Reads a file in pieces, and holds that it stays the same."""

    def __init__(self, file: BufferedReader) -> None:
        """Take an open file; standard input is a stream, whatever it comes from."""
        self._file = file
        self._status = os.fstat(file.fileno())
        self._begun = False
        self.name = file.name
        self.is_stream = file.name == "<stdin>" or not stat.S_ISREG(self._status.st_mode)
        self.size = None if self.is_stream else self._status.st_size
        """In bytes; None where nobody knows the end."""

    @property
    def is_spent(self) -> bool:
        """Whether some of a stream was read, so that it cannot be sent once more."""
        return self.is_stream and self._begun

    def digest(self) -> str:
        """Return what names the content: the SHA-256 of a file, for each stream something new."""
        if self.is_stream:
            return uuid4().hex
        digest = hashlib.file_digest(self._file, "sha256").hexdigest()
        self._refuse_changes()
        return digest

    def pieces(self, offset: int = 0) -> Iterator[bytes]:
        """Yield the content from a byte on; raises SourceChanged where the file is written to meanwhile."""
        if not self.is_stream:
            self._file.seek(offset)
        self._begun = True
        while piece := self._file.read1(_PIECE):
            # Looked at behind the read: what was read before the file changed is what it was named after.
            self._refuse_changes()
            yield piece
        self._refuse_changes()

    def _refuse_changes(self) -> None:
        if self.is_stream:
            return
        now = os.fstat(self._file.fileno())
        if (now.st_size, now.st_mtime_ns) != (self._status.st_size, self._status.st_mtime_ns):
            raise SourceChanged(f"{self.name} was changed while it was read. Import it once nothing writes to it.")
