"""Which tiles of reports use a field, and what becomes of them when it gets another kind or goes."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Q, TextField
from django.db.models.functions import Cast

from crm.customfields.catalog import Field
from crm.customfields.mentions import Mention
from crm.models import Membership
from leads.queries_mentions import conditions_on, fits
from reporting.models import Tile
from reporting.queries.reports import visible_tiles


def mentions(actor: Membership, old: Field, new: Field | None) -> Iterator[Mention]:
    """Yield the tiles whose number asks the field: by name those of reports the actor sees, of the others the number."""
    rows = Tile.objects.select_related("report").annotate(told=Cast("options", TextField()))
    others = 0
    found = list(rows.filter(Q(told__contains=old.public_id) | Q(metric__contains=old.public_id)).order_by("pk"))
    own = [tile for tile in found if tile.report.shared or tile.report.owner_id == actor.user_id]
    labels = {tile.pk: asked.label for tile, asked in visible_tiles(actor, own)} if own else {}
    for tile in found:
        asked = list(conditions_on(tile.options, old.public_id))
        # Its number, what it is split by, or whom it is attributed to.
        of_it = old.public_id in tile.metric or old.public_id in map(str, tile.options.values())
        if not asked and not of_it:
            continue
        stops = of_it or not all(fits(condition, new) for condition in asked)
        if tile.pk in labels:
            report = tile.report
            effect = "is left out of the report." if stops else "goes on and reads the new values."
            path = f"reports/{report.kind}/?report={report.public_id}"
            yield Mention("Tile", f"{labels[tile.pk]} in {report.name}", effect, path, stops)
        elif stops:
            others += 1
    if others:
        tiles = "tile" if others == 1 else "tiles"
        yield Mention(
            f"{others:,} {tiles} in reports you cannot see", "", f"{'is' if others == 1 else 'are'} left out.", "", True
        )
