"""Settings of the tests: the product's own, with fast hashing, plain static files and mail in memory.

Of the environment only DATABASE_URL counts, which picks the database. Everything else a developer may have set for their own
Touchpoint is left out: tests never see its DATA_DIR.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

for name in (
    "ALLOWED_HOSTS", "BASE_URL", "BEHIND_PROXY", "DEBUG", "DEFAULT_FROM_EMAIL", "EMAIL_URL", "PGBOUNCER", "PORT",
    "SEARCH_STATEMENT_TIMEOUT_MS", "STATIC_ROOT", "WEBHOOK_ALLOW_PRIVATE", "WORKERS",
):  # fmt: skip
    os.environ.pop(name, None)


def _remove(folder: str, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


# The first process of a run makes the folder and takes it away; the processes of pytest-xdist each have their part.
if "TOUCHPOINT_TESTS" not in os.environ:
    os.environ["TOUCHPOINT_TESTS"] = tempfile.mkdtemp(prefix="touchpoint-tests-")
    atexit.register(_remove, os.environ["TOUCHPOINT_TESTS"], os.getpid())
os.environ["DATA_DIR"] = str(Path(os.environ["TOUCHPOINT_TESTS"]) / os.environ.get("PYTEST_XDIST_WORKER", "one"))
os.environ["SECRET_KEY"] = "tests-only"

from crm.settings import *  # noqa: F403

STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # noqa: F405 (WhiteNoise warns where it is missing)

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
Q_CLUSTER = {**Q_CLUSTER, "sync": True}  # noqa: F405
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):  # noqa: F405
    # A file, so that threads, live servers and worker processes share it.
    DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / "tests.sqlite3")}  # noqa: F405
