"""Other words that people look for fields by. The lists to choose from find an entry by these as well as by its own words."""

from __future__ import annotations

# A field's name, a `cf_` id, what a block is about, an object type (`activity.call`), or an entry of a list → other words for it.
SYNONYMS = {
    # talking to people
    "last_communication_date": "touch, contacted, in touch, last contact, spoke, talked",
    "first_communication_date": "first contact, contacted, first in touch, spoke",
    "times_communicated": "how often contacted, in touch, spoke",
    "last_activity_at": "in touch, neglected, quiet, touched",
    "r:activity": "in touch, contacted, spoke, logged, touched",
    "last": "latest, most recent, newest",
    "activity.call": "phoned, rang, spoke, talked",
    "activity.email": "mail, wrote, written",
    "activity.sms": "text message, texted",
    "activity.meeting": "met, appointment, spoke, talked",
    "activity.note": "comment, remark, wrote down",
    "last_call_date": "phoned, rang, spoke, talked",
    "first_call_date": "phoned, rang, spoke, talked",
    "num_calls": "how many, phoned, spoke, has a call, has no calls, never called",
    "last_email_date": "mailed, wrote",
    "first_email_date": "mailed, wrote",
    "num_emails": "how many, mailed, wrote, has an email, has no emails",
    "last_sms_date": "texted",
    "num_sms": "how many, texted",
    "last_meeting_date": "met, saw, appointment, spoke, talked",
    "first_meeting_date": "met, saw, appointment, spoke, talked",
    "num_meetings": "how many, met, appointments",
    "num_notes": "how many, comments",
    # who and what it is
    "name": "company, called",
    "display_name": "company, called",
    "status_id": "stage, pipeline, phase",
    "status": "draft, published",
    "url": "web address, homepage, domain, site",
    "description": "about, details",
    "source": "where from, came from, origin, imported",
    "contacts_count": "how many, people, persons, has contacts, has no contacts",
    "num_email_addresses": "how many, has an email, has no email, without email, missing email",
    "num_phone_numbers": "how many, has a phone, has no phone, without phone, missing phone, telephone, mobile",
    "addresses_count": "how many, has an address, has no address, without address, location",
    "all_urls_count": "how many, has a website, has no website, without website, homepage",
    "emails_count": "how many, has an email, has no email, without email, missing email",
    "phones_count": "how many, has a phone, has no phone, without phone, missing phone, telephone, mobile",
    "urls_count": "how many, has a website, has no website, without website, homepage",
    "r:contact": "person, people",
    "r:contact_email": "mail, has an email, has no email, without email",
    "r:contact_phone": "telephone, mobile, has a phone, has no phone, without phone",
    "r:contact_url": "website, profile, homepage",
    "r:address": "location, place, where",
    "title": "job, role, position, function",
    "city": "town, place, location",
    "state": "region, county, province",
    "zipcode": "postcode, postal code",
    "country": "nation, location",
    "location": "street, postcode, place, where",
    # who did it and when
    "user_id": "owner, rep, who, done by, logged by",
    "created_by": "added by, author, who",
    "updated_by": "changed by, edited by, who",
    "date_created": "added, since when, age, new",
    "date_updated": "changed, edited, modified",
    "activity_at": "when, happened, date, day",
    "contact_id": "person, with whom",
    "custom_activity_type_id": "kind, sort",
    "last_lead_status_change_date": "stage changed, moved",
    # tasks
    "r:task": "to-do, reminder, follow-up",
    "overdue": "late, missed, past due, follow-up",
    "num_tasks": "how many, to-dos, has tasks, has no tasks",
    "num_incomplete_tasks": "how many, to-dos, has open tasks, has no open tasks",
    "num_completed_tasks": "how many, done, completed",
    "next_task_due_date": "follow-up, reminder, to-do",
    "text": "to-do, what",
    "due_date": "deadline, until",
    "assigned_to": "owner, responsible, whose",
    "is_complete": "finished, open, closed",
    # everything else
    "text:": "anything, keyword, mentions, words",
    "view:": "saved search, list, segment",
    "group": "either, or, brackets, both",
}


def synonyms(entry: str) -> str:
    """Return other words for an entry of a list to choose from: `field=<name>`, `block=<what>`, `in=<what>:<field>` …"""
    kind, _, rest = entry.partition("=")
    if kind == "in" and rest.startswith("r:"):
        rest = rest.rpartition(":")[2]
    return SYNONYMS.get(rest or kind, "")
