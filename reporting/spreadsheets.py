"""Numbers as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from django.http import HttpResponse

from crm.imports.formula import neutralise


def csv_of(header: Sequence[str], rows: Iterable[Sequence[Any]], filename: str = "") -> HttpResponse:
    """Return a CSV answer; cells that a spreadsheet would run are neutralised, empty ones stay empty."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([neutralise(str(cell)) for cell in header])
    for row in rows:
        writer.writerow(["" if cell is None else neutralise(str(cell)) for cell in row])
    headers = {"Content-Disposition": f'attachment; filename="{filename}"'} if filename else {}
    return HttpResponse(text.getvalue(), content_type="text/csv; charset=utf-8", headers=headers)
