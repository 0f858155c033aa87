"""Management commands one after another in one process: a line of JSON in, a line of JSON out.

In: the command and its arguments. Out: [exit code, stdout, stderr]. Starting Django takes longer than most commands do.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import traceback
from typing import Any

import django
from django.core.management import ManagementUtility


def carry_out(command: list[str]) -> list[Any]:
    out, problems, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(problems):
        try:
            ManagementUtility(["manage.py", *command]).fetch_command(command[0]).run_from_argv(["manage.py", *command])
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except Exception:
            traceback.print_exc()
            code = 1
    return [code, out.getvalue(), problems.getvalue()]


def main() -> None:
    django.setup()
    for line in sys.stdin:
        print(json.dumps(carry_out(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
