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
    "num_calls": "how many, phoned, spoke, has a call",
    "last_email_date": "mailed, wrote",
    "first_email_date": "mailed, wrote",
    "num_emails": "how many, mailed, wrote",
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
    "contacts_count": "how many, people, persons",
    "num_email_addresses": "how many, has an email, any email",
    "num_phone_numbers": "how many, has a phone, telephone, mobile",
    "addresses_count": "how many, has an address, location",
    "all_urls_count": "how many, has a website, homepage",
    "emails_count": "how many, has an email, any email",
    "phones_count": "how many, has a phone, telephone, mobile",
    "urls_count": "how many, has a website, homepage",
    "r:contact": "person, people",
    "r:contact_email": "mail, has an email",
    "r:contact_phone": "telephone, mobile, has a phone",
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
    "num_tasks": "how many, to-dos",
    "num_incomplete_tasks": "how many, to-dos, open",
    "num_completed_tasks": "how many, done, completed",
    "next_task_due_date": "follow-up, reminder, to-do",
    "text": "to-do, what",
    "due_date": "deadline, until",
    "assigned_to": "owner, responsible, whose",
    "is_complete": "finished, open, closed",
    # what there is none of
    "without=r:activity": "never touched, never contacted, without, has no activity, untouched, nothing logged",
    "without=r:contact": "without, has no contact, nobody, missing people",
    "without=r:contact_email": "without, has no email, missing email",
    "without=r:contact_phone": "without, has no phone, missing phone, telephone",
    "without=r:contact_url": "without, has no website, missing website",
    "without=r:address": "without, has no address, missing location",
    "without=r:task": "without, has no task, no follow-up, no to-do",
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
    return SYNONYMS.get(entry) or SYNONYMS.get(rest or kind, "")
