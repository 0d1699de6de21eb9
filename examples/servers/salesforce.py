"""A Salesforce organisation on this machine: its REST API, as far as the connector and its tests need it.

Documented in "REST API Developer Guide" and "Bulk API 2.0 and Bulk API Developer Guide" (developer.salesforce.com):
SOQL with `nextRecordsUrl`, `queryAll` with deleted records, query jobs of Bulk API 2.0 with `Sforce-Locator`, sObject
collections (200 a request, 2,000 a retrieve, `allOrNone`, results in order), upsert by external id, `deleted`, describe,
OAuth 2.0 (client credentials, refresh token), `Sforce-Limit-Info`, duplicate rules, times in whole seconds.

What a person does there, under `/_control`:

    POST   /sobjects/Contact          {"LastName": "Lovelace"}: a new record; -> {"id": ...}
    PATCH  /sobjects/Contact/{id}     edits it; `"SystemModstamp": -300` makes it a change that shows up five minutes late;
                                      `Email=ada@engines.example` does for an id, here and below
    DELETE /sobjects/Contact/{id}     into the recycle bin; with ?hard=1, out of it, too
    GET    /sobjects/Contact          all that are there; with ?all=1, those in the recycle bin, too
    POST   /merge/Contact             {"master": id, "merged": [id]}
    POST   /duplicate_rule            {"object": "Contact", "field": "Email"}: refuses a second record with the same value
    POST   /lock                      {"ids": [id], "times": 1}: so often, a write meets UNABLE_TO_LOCK_ROW
    POST   /touch/Contact             {"every": 10, "set": {"City": "Oslo"}}: edits every tenth record
"""

import csv
import io
import re
import secrets
from datetime import timedelta

import soql
from local_server import Reply, Server
from soql import moment_of, stamp

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
TIMES = ("CreatedDate", "LastModifiedDate", "SystemModstamp")
SYSTEM = ("Id", "IsDeleted", "MasterRecordId", "Name", *TIMES)
# Deleted records are remembered for fifteen days.
REMEMBERED = timedelta(days=15)

# Name: the first three characters of its ids, and its fields with types and lengths.
OBJECTS = {
    "Contact": ("003", {
        "FirstName": ("string", 40), "LastName": ("string", 80), "Email": ("email", 80), "Phone": ("phone", 40),
        "MobilePhone": ("phone", 40), "Title": ("string", 128), "Department": ("string", 80), "MailingStreet": ("textarea", 255),
        "MailingCity": ("string", 40), "MailingPostalCode": ("string", 20), "MailingCountry": ("string", 80),
        "Birthdate": ("date", 0), "DoNotCall": ("boolean", 0), "AccountId": ("reference", 18), "Syncline_Id__c": ("string", 64),
    }),
    "Account": ("001", {
        "Website": ("url", 255), "Phone": ("phone", 40), "Industry": ("string", 40), "BillingCity": ("string", 40),
        "BillingCountry": ("string", 80), "NumberOfEmployees": ("int", 0), "AnnualRevenue": ("currency", 0), "Syncline_Id__c": ("string", 64),
    }),
}
REQUIRED = {"Contact": "LastName", "Account": "Name"}

server = Server(__doc__, limited=lambda request: limit_exceeded())
server.arguments.add_argument("--page-size", type=int, default=2000, help="records in a page of a query")
server.arguments.add_argument("--result-rows", type=int, default=25000, help="rows in a page of a job's results")
server.arguments.add_argument("--job-polls", type=int, default=0, help="how often a job is asked for before it is done")
server.arguments.add_argument("--calls-max", type=int, default=100000, help="calls a day")
server.arguments.add_argument("--token-s", type=int, default=7200, help="how long a token is good for, in seconds")
server.arguments.add_argument("--load", help="a CSV file of contacts: its header names the fields")


class Org:
    def __init__(self):
        self.records = {name: {} for name in OBJECTS}
        self.external = {name: {} for name in OBJECTS}
        self.purged = {name: [] for name in OBJECTS}
        self.made = 0
        self.changes = 0
        self.tokens = {}
        self.calls = 0
        self.rules = []
        self.locked = {}
        self.jobs = {}
        self.cursors = {}
        self.pages = {}


org = Org()


def new_id(prefix):
    """Fifteen characters, and three more that say which of them are capitals."""
    org.made += 1
    number, digits = org.made, ""
    for _ in range(12):
        number, digit = divmod(number, 62)
        digits = DIGITS[digit] + digits
    short = prefix + digits
    parts = (short[at : at + 5] for at in (0, 5, 10))
    return short + "".join(ALPHABET[sum(char.isupper() << at for at, char in enumerate(part))] for part in parts)


class Wrong(Exception):
    """Why one record is refused."""

    def __init__(self, code, message, fields=()):
        super().__init__(message)
        self.error = {"statusCode": code, "message": message, "fields": list(fields)}


def problem(status, code, message):
    return Reply(status, [{"message": message, "errorCode": code}])


def limit_exceeded():
    return problem(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")


@server.before_each
def authorized(request):
    if request.path.endswith("/oauth2/token"):
        return
    until = org.tokens.get(request.bearer())
    if until is None or until <= server.clock.now():
        raise problem(401, "INVALID_SESSION_ID", "Session expired or invalid")
    org.calls += 1
    if org.calls > server.options.calls_max:
        raise limit_exceeded()


@server.after_each
def limits_said(request, reply):
    reply.headers["Sforce-Limit-Info"] = f"api-usage={org.calls}/{server.options.calls_max}"


@server.route("POST", "/services/oauth2/token", writes=False)
def token(request):
    form = request.form()
    known = ("client_credentials", "refresh_token")
    if form.get("grant_type") not in known or (form["grant_type"] == "refresh_token" and form.get("refresh_token") != "refresh"):
        return Reply(400, {"error": "invalid_grant", "error_description": "expired access/refresh token"})
    if (form.get("client_id"), form.get("client_secret")) != ("client", "secret"):
        return Reply(400, {"error": "invalid_client", "error_description": "invalid client credentials"})
    made = secrets.token_hex(12)
    org.tokens[made] = server.clock.now() + timedelta(seconds=server.options.token_s)
    issued = str(int(server.clock.now().timestamp() * 1000))
    return Reply(200, {"access_token": made, "instance_url": server.url, "token_type": "Bearer", "issued_at": issued, "scope": "api"})


# Records.


def object_of(name):
    if name not in OBJECTS:
        raise problem(404, "NOT_FOUND", "The requested resource does not exist")
    return OBJECTS[name]


def cleaned(name, fields, is_new, by_person=False):
    """What is written into a record, as Salesforce keeps it: trimmed, empty text as null, checked."""
    declared = object_of(name)[1]
    kept = {}
    for field, value in fields.items():
        if field in ("attributes", "Id"):
            continue
        if field in SYSTEM and not (field == "Name" and name == "Account") and not by_person:
            message = f"Unable to create/update fields: {field}. Please check the security settings of this field and verify that it is read/write for your profile or permission set."
            raise Wrong("INVALID_FIELD_FOR_INSERT_UPDATE", message, [field])
        kind, length = declared.get(field, ("string", 255) if field in SYSTEM else (None, 0))
        if kind is None:
            raise Wrong("INVALID_FIELD", f"No such column '{field}' on sobject of type {name}", [field])
        if isinstance(value, str):
            value = value.strip() or None
        if value and field in TIMES:
            # A number is so many seconds from now.
            is_number = isinstance(value, (int, float))
            value = stamp(server.clock.now() + timedelta(seconds=value) if is_number else moment_of(value))
        if isinstance(value, str) and length and len(value) > length:
            raise Wrong("STRING_TOO_LONG", f"{field}: data value too large: {value} (max length={length})", [field])
        if kind == "email" and value and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", value):
            raise Wrong("INVALID_EMAIL_ADDRESS", f"{field}: invalid email address: {value}", [field])
        if kind == "boolean" and not isinstance(value, bool):
            value = str(value).lower() == "true"
        kept[field] = value
    needed = REQUIRED[name]
    if (is_new and not kept.get(needed)) or (needed in kept and not kept[needed]):
        raise Wrong("REQUIRED_FIELD_MISSING", f"Required fields are missing: [{needed}]", [needed])
    return kept


def guarded(name, record, kept):
    """Refuses what a duplicate rule, a unique field or a lock is against."""
    own = record and record["Id"]
    if own in org.locked:
        org.locked[own] -= 1
        if org.locked[own] <= 0:
            del org.locked[own]
        raise Wrong("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record or 1 records: " + own)
    key = kept.get("Syncline_Id__c")
    if key and org.external[name].get(key, own) != own:
        message = f"duplicate value found: Syncline_Id__c duplicates value on record with id: {org.external[name][key][:15]}"
        raise Wrong("DUPLICATE_VALUE", message, ["Syncline_Id__c"])
    for ruled, field in org.rules:
        if ruled == name and kept.get(field):
            same = (one for one in org.records[name].values() if not one["IsDeleted"] and one["Id"] != own)
            if any(one.get(field) == kept[field] for one in same):
                raise Wrong("DUPLICATES_DETECTED", "Use one of these records?")


def insert(name, fields, by_person=False):
    kept = cleaned(name, fields, True, by_person)
    guarded(name, None, kept)
    now = stamp(server.clock.now())
    record = dict.fromkeys(OBJECTS[name][1])
    record.update(Id=new_id(OBJECTS[name][0]), IsDeleted=False, MasterRecordId=None, CreatedDate=now)
    record.update({field: False for field, (kind, _) in OBJECTS[name][1].items() if kind == "boolean"})
    put(name, record, kept)
    org.records[name][record["Id"]] = record
    return record


def put(name, record, kept):
    now = stamp(server.clock.now())
    org.external[name].pop(record.get("Syncline_Id__c"), None)
    record.update({"LastModifiedDate": now, "SystemModstamp": now, **kept})
    if record.get("Syncline_Id__c") and not record["IsDeleted"]:
        org.external[name][record["Syncline_Id__c"]] = record["Id"]
    if name == "Contact":
        record["Name"] = " ".join(filter(None, (record["FirstName"], record["LastName"])))
    org.changes += 1


def long_id(text):
    """An id of fifteen characters names the record just as well."""
    if text and len(text) == 15:
        parts = (text[at : at + 5] for at in (0, 5, 10))
        return text + "".join(ALPHABET[sum(char.isupper() << at for at, char in enumerate(part))] for part in parts)
    return text


def living(name, id):
    record = org.records[name].get(long_id(id))
    if record is None:
        raise Wrong("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
    if record["IsDeleted"]:
        raise Wrong("ENTITY_IS_DELETED", "entity is deleted")
    return record


def update(name, id, fields, by_person=False):
    record = living(name, id)
    kept = cleaned(name, fields, False, by_person)
    guarded(name, record, kept)
    put(name, record, kept)
    return record


def delete(name, id, master=None):
    record = living(name, id)
    if not master:
        guarded(name, record, {})
    record.update(IsDeleted=True, MasterRecordId=master)
    put(name, record, {})
    return record


def done(record, created=None):
    result = {"id": record["Id"], "success": True, "errors": []}
    return result if created is None else {**result, "created": created}


def each(request, records, act):
    """Does `act` to each record of a collection; one that is refused holds up no other, unless all or none is asked for."""
    if len(records) > 200:
        raise problem(400, "EXCEEDED_ID_LIMIT", "record limit reached. cannot submit more than 200 records in this call")
    results = []
    for record in records:
        try:
            results.append(act(record))
        except Wrong as wrong:
            results.append({"success": False, "errors": [wrong.error]})
    return Reply(200, results)


def typed(record):
    return object_of((record.get("attributes") or {}).get("type")) and record["attributes"]["type"]


VERSION = "/services/data/{version}"


@server.route("POST", VERSION + "/composite/sobjects")
def collection_insert(request, version):
    return each(request, request.json()["records"], lambda record: done(insert(typed(record), record)))


@server.route("PATCH", VERSION + "/composite/sobjects")
def collection_update(request, version):
    records = request.json()["records"]
    ids = [long_id(record.get("Id") or record.get("id")) for record in records]

    def act(record):
        id = long_id(record.get("Id") or record.get("id"))
        if ids.count(id) > 1:
            raise Wrong("DUPLICATE_VALUE", "Duplicate id in list: " + id, ["Id"])
        return done(update(typed(record), id, {field: value for field, value in record.items() if field != "id"}))

    return each(request, records, act)


@server.route("PATCH", VERSION + "/composite/sobjects/{name}/{field}")
def collection_upsert(request, version, name, field):
    object_of(name)
    records = request.json()["records"]
    keys = [record.get(field) for record in records]

    def act(record):
        key = record.get(field)
        if keys.count(key) > 1:
            raise Wrong("DUPLICATE_VALUE", f"Duplicate external id specified: {key}", [field])
        known = org.external[name].get(key)
        if known:
            return done(update(name, known, record), False)
        return done(insert(name, record), True)

    return each(request, records, act)


@server.route("DELETE", VERSION + "/composite/sobjects")
def collection_delete(request, version):
    ids = request.query.get("ids", "").split(",")
    of = {prefix: name for name, (prefix, _) in OBJECTS.items()}

    def act(id):
        name = of.get(id[:3])
        if name is None:
            raise Wrong("MALFORMED_ID", f"malformed id {id}")
        return done(delete(name, id))

    return each(request, ids, act)


def shown(name, record, fields):
    url = f"/services/data/v62.0/sobjects/{name}/{record['Id']}"
    return {"attributes": {"type": name, "url": url}, **{field: record.get(field) for field in fields}}


@server.route("POST", VERSION + "/composite/sobjects/{name}", writes=False)
def collection_retrieve(request, version, name):
    object_of(name)
    asked = request.json()
    if len(asked["ids"]) > 2000:
        raise problem(400, "EXCEEDED_ID_LIMIT", "record limit reached. cannot submit more than 2000 records in this call")
    found = (org.records[name].get(long_id(id)) for id in asked["ids"])
    fields = checked_fields(name, asked["fields"])
    return Reply(200, [shown(name, one, fields) if one and not one["IsDeleted"] else None for one in found])


@server.route("GET", VERSION + "/sobjects/{name}/describe")
def describe(request, version, name):
    prefix, fields = object_of(name)
    types = {"Id": ("id", 18), "IsDeleted": ("boolean", 0), "MasterRecordId": ("reference", 18), "Name": ("string", 121)}
    types.update({field: ("datetime", 0) for field in TIMES})
    listed = [
        {"name": field, "type": kind, "length": length, "updateable": field in fields, "createable": field in fields, "nillable": field != REQUIRED[name], "externalId": field.endswith("Id__c")}
        for field, (kind, length) in {**types, **fields}.items()
    ]
    return Reply(200, {"name": name, "keyPrefix": prefix, "fields": listed})


@server.route("GET", VERSION + "/sobjects/{name}/deleted/")
def get_deleted(request, version, name):
    object_of(name)
    now = server.clock.now()
    start, end = moment_of(request.query["start"]), moment_of(request.query["end"])
    earliest = now - REMEMBERED
    if start < earliest - timedelta(days=15):
        raise problem(400, "INVALID_REPLICATION_DATE", "startDate before org replication enabled date: " + stamp(earliest))
    if end - start < timedelta(minutes=1):
        raise problem(400, "INVALID_REPLICATION_DATE", "The endDate cannot be less than a minute after startDate")
    gone = [(one["Id"], one["SystemModstamp"]) for one in org.records[name].values() if one["IsDeleted"]] + org.purged[name]
    gone = [{"id": id, "deletedDate": at} for id, at in gone if start <= moment_of(at) <= end]
    return Reply(200, {"deletedRecords": gone, "earliestDateAvailable": stamp(earliest), "latestDateCovered": stamp(min(end, now))})


@server.route("GET", VERSION + "/limits")
def limits(request, version):
    left = server.options.calls_max - org.calls
    return Reply(200, {"DailyApiRequests": {"Max": server.options.calls_max, "Remaining": left}})


# SOQL.

def checked_fields(name, fields):
    for field in fields:
        if field not in OBJECTS[name][1] and field not in SYSTEM:
            raise problem(400, "INVALID_FIELD", f"No such column '{field}' on entity '{name}'.")
    return fields


def select(query, with_deleted):
    """The fields and the records that a query is for."""
    try:
        asked = soql.parse(query)
    except soql.Malformed as wrong:
        raise problem(400, "MALFORMED_QUERY", str(wrong)) from None
    name = asked.name
    object_of(name)
    fields = checked_fields(name, asked.fields)
    checked_fields(name, [field for field, _, _ in asked.tests])
    records = org.records[name].values()
    if not with_deleted:
        records = [one for one in records if not one["IsDeleted"]]
    for field, operator, value in asked.tests:
        records = [one for one in records if operator(one.get(field), value)]
    for field in reversed(asked.order):
        records = sorted(records, key=lambda one: one.get(field) or "")
    records = list(records)
    return name, fields, records[: asked.limit] if asked.limit else records


def paged(version, kind, name, fields, records, total):
    size = server.options.page_size
    reply = {"totalSize": total, "done": len(records) <= size, "records": [shown(name, one, fields) for one in records[:size]]}
    if len(records) > size:
        # The rest is what it was when the query was made.
        locator = f"0r8{secrets.token_hex(6)}-{total - len(records) + size}"
        org.cursors[locator] = (name, fields, [dict(one) for one in records[size:]], total)
        reply["nextRecordsUrl"] = f"/services/data/{version}/{kind}/{locator}"
    return Reply(200, reply)


@server.route("GET", VERSION + "/query")
@server.route("GET", VERSION + "/query/")
def query(request, version):
    name, fields, records = select(request.query.get("q", ""), False)
    return paged(version, "query", name, fields, records, len(records))


@server.route("GET", VERSION + "/queryAll")
@server.route("GET", VERSION + "/queryAll/")
def query_all(request, version):
    name, fields, records = select(request.query.get("q", ""), True)
    return paged(version, "query", name, fields, records, len(records))


@server.route("GET", VERSION + "/query/{locator}")
def query_more(request, version, locator):
    if locator not in org.cursors:
        raise problem(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
    return paged(version, "query", *org.cursors[locator])


# Query jobs of Bulk API 2.0.


def job_of(id):
    if id not in org.jobs:
        raise problem(404, "NOT_FOUND", "The requested resource does not exist")
    return org.jobs[id]


def said(id, job):
    return {"id": id, "operation": job["operation"], "object": job["name"], "state": job["state"], "contentType": "CSV", "lineEnding": "LF", "columnDelimiter": "COMMA", "concurrencyMode": "Parallel", "apiVersion": 62.0, "numberRecordsProcessed": job["rows"]}


@server.route("POST", VERSION + "/jobs/query", writes=False)
def job_create(request, version):
    asked = request.json()
    if asked.get("operation") not in ("query", "queryAll"):
        raise problem(400, "INVALIDJOB", "The operation is not supported")
    name, fields, records = select(asked["query"], asked["operation"] == "queryAll")
    id = new_id("750")
    # Pages that were made once are handed out as they are: what takes time here is no time of a client.
    size = server.options.result_rows
    key = (name, tuple(fields), org.changes, len(records), size)
    if key not in org.pages:
        org.pages[key] = [csv_page(fields, records[at : at + size]) for at in range(0, max(len(records), 1), size)]
    job = {"operation": asked["operation"], "name": name, "pages": org.pages[key], "rows": len(records), "polls": server.options.job_polls}
    org.jobs[id] = job
    job["state"] = "UploadComplete" if job["polls"] else "JobComplete"
    return Reply(200, said(id, job))


def csv_page(fields, records):
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(fields)
    words = {None: "", True: "true", False: "false"}
    for record in records:
        values = (record.get(field) for field in fields)
        row = [words[value] if value is None or isinstance(value, bool) else value for value in values]
        # Times are written otherwise than in JSON.
        writer.writerow([value[:-5] + "Z" if field in TIMES else value for field, value in zip(fields, row)])
    return text.getvalue().encode(), len(records)


@server.route("GET", VERSION + "/jobs/query/{id}")
def job_state(request, version, id):
    job = job_of(id)
    if job["state"] in ("UploadComplete", "InProgress"):
        job["polls"] -= 1
        job["state"] = "InProgress" if job["polls"] > 0 else "JobComplete"
    return Reply(200, said(id, job))


@server.route("GET", VERSION + "/jobs/query/{id}/results")
def job_results(request, version, id):
    job = job_of(id)
    if job["state"] != "JobComplete":
        raise problem(400, "INVALIDJOBSTATE", "The job is not complete")
    at = int(request.query.get("locator") or 0)
    if at >= len(job["pages"]):
        raise problem(400, "INVALID_LOCATOR", "The locator is not valid")
    body, rows = job["pages"][at]
    locator = str(at + 1) if at + 1 < len(job["pages"]) else "null"
    return Reply(200, body, {"Sforce-Locator": locator, "Sforce-NumberOfRecords": str(rows)}, "text/csv; charset=UTF-8")


@server.route("PATCH", VERSION + "/jobs/query/{id}", writes=False)
def job_abort(request, version, id):
    job_of(id)["state"] = "Aborted"
    return Reply(200, said(id, org.jobs[id]))


@server.route("DELETE", VERSION + "/jobs/query/{id}", writes=False)
def job_delete(request, version, id):
    job_of(id)
    del org.jobs[id]
    return Reply(204)


# What a person does.


def id_of(name, text):
    """The id itself, or that of the record that has such a value."""
    field, is_field, value = text.partition("=")
    found = [one["Id"] for one in org.records[name].values() if is_field and one.get(field) == value and not one["IsDeleted"]]
    return found[0] if found else text


@server.control("POST", "/sobjects/{name}")
def person_makes(request, name):
    made = request.json()
    made = [insert(name, one, True)["Id"] for one in (made if isinstance(made, list) else [made])]
    return Reply(201, {"id": made[0], "ids": made})


@server.control("PATCH", "/sobjects/{name}/{id}")
def person_edits(request, name, id):
    return Reply(200, update(name, id_of(name, id), request.json(), True))


@server.control("DELETE", "/sobjects/{name}/{id}")
def person_deletes(request, name, id):
    record = delete(name, id_of(name, id))
    if request.query.get("hard"):
        org.purged[name].append((record["Id"], record["SystemModstamp"]))
        del org.records[name][record["Id"]]
    return Reply(204)


@server.control("GET", "/sobjects/{name}")
def person_sees(request, name):
    everything = bool(request.query.get("all"))
    return Reply(200, [one for one in org.records[name].values() if everything or not one["IsDeleted"]])


@server.control("POST", "/merge/{name}")
def person_merges(request, name):
    asked = request.json()
    master = living(name, id_of(name, asked["master"]))
    merged = [id_of(name, id) for id in asked["merged"]]
    for id in merged:
        delete(name, id, master["Id"])
    if name == "Account":
        for contact in org.records["Contact"].values():
            if contact["AccountId"] in merged:
                put("Contact", contact, {"AccountId": master["Id"]})
    put(name, master, asked.get("fields", {}))
    return Reply(200, master)


@server.control("POST", "/touch/{name}")
def person_touches(request, name):
    asked = request.json()
    touched = [one for one in list(org.records[name].values())[:: asked.get("every", 1)] if not one["IsDeleted"]]
    for record in touched:
        put(name, record, asked["set"])
    return Reply(200, {"count": len(touched)})


@server.control("POST", "/duplicate_rule")
def person_rules(request):
    asked = request.json()
    org.rules.append((asked["object"], asked["field"]))
    return Reply(204)


@server.control("POST", "/lock")
def person_locks(request):
    asked = request.json()
    ids = [id_of(asked.get("object", "Contact"), id) for id in asked["ids"]]
    org.locked.update(dict.fromkeys(ids, asked.get("times", 1)))
    return Reply(204)


def load():
    """Takes contacts from the CSV file of `--load`."""
    if server.options.load:
        with open(server.options.load, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                insert("Contact", {field: value for field, value in row.items() if field != "IsDeleted"}, True)


server.ready = load

if __name__ == "__main__":
    server.main()
