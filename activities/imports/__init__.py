"""Import runs from upload to undo: check, run, pause, resume, cancel, failed rows, undo.

A run is settled in chunks; each is one transaction that holds the rows, their verdicts and the resume point
(`ImportRun.rows_done`), so a worker killed at any row loses nothing and repeats nothing.
"""

from activities.imports.chunks import begin_check, begin_run, cancel_run, pause_run, resume_all, run_now, work
from activities.imports.mapping import NEW_KINDS, guess_options, note_near_misses, set_mapping
from activities.imports.runs import (
    Page,
    can_resume,
    can_undo,
    failed_rows,
    object_id_of,
    records_of,
    resource_of,
    run_for,
    runs_for,
    verdicts_of,
    visible_runs,
)  # fmt: skip
from activities.imports.undo import begin_undo, rows_to_undo, undo_run, undo_work
from activities.imports.upload import TARGETS, reread, start_run

__all__ = [
    "NEW_KINDS", "TARGETS", "Page",
    "begin_check", "begin_run", "begin_undo", "can_resume", "can_undo", "cancel_run", "failed_rows", "guess_options",
    "note_near_misses", "object_id_of", "pause_run", "records_of", "reread", "resource_of", "resume_all", "rows_to_undo", "run_for", "run_now", "runs_for", "set_mapping",
    "start_run", "undo_run", "undo_work", "verdicts_of", "visible_runs", "work",
]  # fmt: skip
