"""Taking uploads from the network: no more than the largest file that is read ever reaches the disk."""

from __future__ import annotations

from typing import Any

from django.core.files.uploadhandler import FileUploadHandler

from crm.imports.files import MAX_BYTES


class BoundedUploadHandler(FileUploadHandler):
    """Stands before Django's handlers and lets what is too much of each file fall away while it arrives.

    What is kept is a little more than `MAX_BYTES`, so that the file is refused with its sentence once it is looked at.
    """

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes | None:
        return raw_data if start <= MAX_BYTES else None

    def file_complete(self, file_size: int) -> Any:
        return None  # the handlers behind this one keep the file
