"""Close's dialect of REST, spoken in one place: keys, errors, paging, `_fields`, filters, timestamps (`spec/api.md` 1).

Endpoints live in each app's `api.py` as short functions that parse, call a service and return a dict. `CloseApi` wraps
every one of them: it finds the actor of the API key, opens the organization's scope, and turns refusals into JSON.
"""

from crm.api.answers import (
    created,
    error_response,
    keys_named,
    naive_stamp,
    no_content,
    pick,
    picked,
    refuse,
    stamp,
    wanted_keys,
)
from crm.api.door import Body, KeyAuth, Offset, asking_as, speaks
from crm.api.engine import CloseApi
from crm.api.lists import (
    MAX_PAGE,
    between,
    day,
    empty_list,
    flag,
    listed,
    listing,
    moment,
    numbers,
    ordered,
    user_numbers,
    window,
)  # fmt: skip
from crm.api.objects import (
    Wanted,
    gate_of,
    gates,
    in_words,
    rebuilder_of,
    rebuilds,
    renderer_of,
    renders,
    settled,
    settles,
    shows,
    words,
)
from crm.api.values import custom_given, custom_json, lookups, member_user, name_of, user_id_of

__all__ = [
    "MAX_PAGE", "Body", "CloseApi", "KeyAuth", "Offset", "Wanted", "asking_as", "between", "created", "custom_given", "custom_json", "day",
    "empty_list", "error_response", "flag", "gate_of", "gates", "in_words", "keys_named", "listed", "listing", "lookups", "member_user", "moment", "naive_stamp",
    "name_of", "no_content", "numbers", "ordered", "pick", "picked", "rebuilder_of", "rebuilds", "refuse", "renderer_of", "renders", "settled", "settles", "shows", "speaks", "stamp",
    "user_id_of", "user_numbers", "wanted_keys", "window", "words",
]  # fmt: skip
