"""WSGI entry point for the production server."""

import gc
import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crm.settings")
application = get_wsgi_application()
# Every view is loaded now, and stays: the first request need not wait for it, and the garbage collector does not walk
# through it again in the middle of one, which takes longer than most requests.
get_resolver().url_patterns  # noqa: B018 (read for its effect)
gc.collect()
gc.freeze()
