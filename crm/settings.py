"""Settings, taken from the environment alone.

DATABASE_URL            default: SQLite in DATA_DIR
DATA_DIR                default: var/ beside manage.py
PORT                    default: 8000 (used for the base URL printed by commands)
BASE_URL                default: http://localhost:PORT; absolute links are built from it, never from the Host header
SECRET_KEY              made and kept in DATA_DIR when absent
ALLOWED_HOSTS           comma separated; default: localhost and loopback, plus the host of BASE_URL
BEHIND_PROXY            how many proxies stand in front and set X-Forwarded-For and X-Forwarded-Proto; default: 0
EMAIL_URL               default: messages are written to DATA_DIR/mail
DEFAULT_FROM_EMAIL      who mails are from; default: Touchpoint <touchpoint@localhost>
WEBHOOK_ALLOW_PRIVATE   1 lets webhooks reach private addresses
API_RATE_LIMIT          requests a second per API key on average; default: 100; 0 lifts the limit
DEBUG                   off
"""

import os
import secrets
import sys
from pathlib import Path
from urllib.parse import urlsplit

import environ
from csp.constants import NONE, SELF

ROOT = Path(__file__).resolve().parent.parent
env = environ.Env()

DATA_DIR = Path(env("DATA_DIR", default=str(ROOT / "var"))).expanduser().resolve()
DATA_DIR.mkdir(parents=True, exist_ok=True)
PORT = env.int("PORT", default=8000)
BASE_URL = env("BASE_URL", default=f"http://localhost:{PORT}").rstrip("/")
DEBUG = env.bool("DEBUG", default=False)
HTTPS = urlsplit(BASE_URL).scheme == "https"


def _kept_secret(path: Path) -> str:
    """Return the secret in `path`, making it on first use, readable by the owner alone.

    Two processes may start at once; the first to create the file wins and the other reads it.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text()
    with os.fdopen(descriptor, "w") as file:
        file.write(secret := secrets.token_urlsafe(50))
    return secret


SECRET_KEY = env("SECRET_KEY", default="") or _kept_secret(DATA_DIR / "secret_key")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]", urlsplit(BASE_URL).hostname])
CSRF_TRUSTED_ORIGINS = [BASE_URL]

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "crm.apps.CrmConfig",
    "leads",
    "activities",
    "reporting",
    "crm.apps.StaffAdminConfig",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "csp",
    "django_filters",
    "django_htmx",
    "django_q",
    "import_export",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django_http_compression.middleware.HttpCompressionMiddleware",
    "crm.middleware.RequestContextMiddleware",
    "crm.middleware.ApiPathMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "allauth.usersessions.middleware.UserSessionsMiddleware",
    "crm.middleware.OrganizationMiddleware",
]

ROOT_URLCONF = "crm.urls"
WSGI_APPLICATION = "crm.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "crm.shell.shell",
            ],
        },
    }
]

# --- database ---------------------------------------------------------------------------------------------------------
_url = env.str("DATABASE_URL", default="") or f"sqlite:///{DATA_DIR / 'touchpoint.sqlite3'}"
# What is wrong is said without the address, which may hold a password.
if _url.partition(":")[0] not in ("sqlite", "postgres", "postgresql"):
    sys.exit("DATABASE_URL must begin with sqlite:/// or postgres://, as in postgres://user:password@host/database.")
DATABASES = {"default": environ.Env.db_url_config(_url)}
_database = DATABASES["default"]
_database["ATOMIC_REQUESTS"] = False
# A connection is kept for a minute: opening one costs more than most requests, and SQLite's last one to close writes back its WAL.
_database.setdefault("CONN_MAX_AGE", 60)
if _database["ENGINE"].endswith("sqlite3"):
    # Writers queue instead of failing: WAL, a write lock taken at BEGIN, and a wait for it.
    _database["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-32000; PRAGMA temp_store=MEMORY;",
    }
else:
    _database.setdefault("CONN_HEALTH_CHECKS", True)
    # Search statements differ in shape with each filter; a kept generic plan would be a bad one (storage.md, 7).
    _database.setdefault("OPTIONS", {}).setdefault("prepare_threshold", None)
    _database["DISABLE_SERVER_SIDE_CURSORS"] = env.bool("PGBOUNCER", default=False)
SEARCH_STATEMENT_TIMEOUT_MS = env.int("SEARCH_STATEMENT_TIMEOUT_MS", default=15_000)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Sign-in throttles count here: with Django's 300 entries, a few hundred made-up addresses would wash them away.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "django_cache",
        "OPTIONS": {"MAX_ENTRIES": 20_000},
    }
}  # fmt: skip
SESSION_ENGINE = "django.contrib.sessions.backends.db"

# --- people and sign in -----------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "crm.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_ADAPTER = "crm.accounts.AccountAdapter"
ACCOUNT_FORMS = {
    "change_password": "crm.password_forms.ChangePasswordForm",
    "set_password": "crm.password_forms.SetPasswordForm",
    "reset_password_from_key": "crm.password_forms.ResetPasswordKeyForm",
}
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = False  # the other sessions end: crm.accounts
ACCOUNT_EMAIL_NOTIFICATIONS = True
SITE_NAME = "Touchpoint"
MFA_ADAPTER = "crm.accounts.SecondStepAdapter"
MFA_TOTP_ISSUER = SITE_NAME
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
# Browsers allow passkeys without HTTPS on localhost only; everywhere else BASE_URL is https or there are none.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not HTTPS
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "account_login"

# --- safety -----------------------------------------------------------------------------------------------------------
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_SSL_REDIRECT = False
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
# Each proxy adds the address it was called from. Without counting them all visitors would share one throttle.
BEHIND_PROXY = env("BEHIND_PROXY", default="") or "0"
ALLAUTH_TRUSTED_PROXY_COUNT = int(BEHIND_PROXY) if BEHIND_PROXY.isdecimal() else int(env.bool("BEHIND_PROXY"))
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if ALLAUTH_TRUSTED_PROXY_COUNT else None
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5_000
DATA_UPLOAD_MAX_NUMBER_FILES = 3
FILE_UPLOAD_HANDLERS = [
    "crm.imports.receiving.BoundedUploadHandler",
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]
WEBHOOK_ALLOW_PRIVATE = env.bool("WEBHOOK_ALLOW_PRIVATE", default=False)
# How long a delivery that was taken is left alone before another courier may take it: longer than a round of them lasts.
WEBHOOK_LEASE_SECONDS = env.int("WEBHOOK_LEASE_SECONDS", default=150)
API_RATE_LIMIT = env.float("API_RATE_LIMIT", default=100)

# --- files ------------------------------------------------------------------------------------------------------------
STATIC_URL = "/static/"
STATIC_ROOT = Path(env("STATIC_ROOT", default=str(DATA_DIR / "static")))
STATICFILES_DIRS = [ROOT / "static"]
MEDIA_ROOT = DATA_DIR / "files"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

# --- mail -------------------------------------------------------------------------------------------------------------
if env("EMAIL_URL", default=""):
    vars().update(env.email("EMAIL_URL"))
else:
    EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    EMAIL_FILE_PATH = DATA_DIR / "mail"
DEFAULT_FROM_EMAIL = env("DEFAULT_FROM_EMAIL", default="Touchpoint <touchpoint@localhost>")

# --- background jobs --------------------------------------------------------------------------------------------------
Q_CLUSTER = {
    "name": "touchpoint",
    "orm": "default",
    "workers": env.int("WORKERS", default=1),
    "timeout": 300,
    "retry": 360,  # a job whose worker died is taken up again after this many seconds
    "max_attempts": 5,
    "ack_failures": True,
    "catch_up": False,
    "poll": 1,
    "bulk": 1,
    "save_limit": 500,
    "max_rss": 400_000,
}

# --- the engine's explicit tables -------------------------------------------------------------------------------------
# What leads can be searched by, in the order the builder shows it. Each entry is one class (leads/search, activities/search).
SEARCH_SOURCES = ["leads.search.sources.LEADS", "leads.search.sources.CONTACTS", "activities.search.ACTIVITIES"]
# Fields of leads that are worked out from what belongs to them.
SEARCH_FIGURES = ["activities.figures.LEADS", "leads.search.figures.LEADS"]

# What people read for the options of built-in fields: the API and files have words of their own.
OPTION_WORDS = "activities.builtin.OPTION_WORDS"

# What the tables of results can show and sort by.
RESULT_COLUMNS = ["leads.search.columns.columns", "activities.columns.columns"]

# The lists that can be searched, saved, exported and changed in bulk.
RESULT_LISTS = ["leads.views.kinds.LEADS", "leads.views.kinds.CONTACTS", "activities.views_list.ACTIVITIES"]
# What uses a field of leads or contacts, and what becomes of it when the field gets another kind.
FIELD_MENTIONS: list[str] = [
    "leads.queries_mentions.mentions",
    "activities.queries_mentions.mentions",
    "reporting.queries.mentions.mentions",
]
# What can be done to everything a search finds.
BULK_CHANGES = ["leads.services.bulk_changes.CHANGES", "activities.services.bulk_changes.CHANGES"]

# What must happen with a lead's activities when the lead is made, changes status or goes. Leads know nothing of activities.
LEAD_OBSERVER = "activities.services.observer"
# What the lead pages show of activities: the types to search by, and the lead page's right column.
SEARCHABLE_TYPES = "activities.lead_page.searchable_types"
LEAD_PAGE_CONTEXT = "activities.lead_page.lead_page_context"
# How many drafts the badge beside *My drafts* counts.
DRAFTS_COUNT = "activities.queries.activities.count_my_drafts"

# What must be counted again in the background when an organization moves to another time zone.
ZONE_JOBS = ["activities.tasks.count_days_again"]
# What is brought up to date in the background, every hour and after imports and upgrades.
UPKEEP_JOBS = ["reporting.filling.refresh"]

# --- language and time ------------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en-us"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {"touchpoint": {"level": "INFO"}, "django-q": {"level": "WARNING"}},
}
SILENCED_SYSTEM_CHECKS: list[str] = []
