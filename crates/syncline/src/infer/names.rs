//! Names: of columns as fields, of files as connections and entities, of entities as shard types.

use syncline_core::config::model::Normaliser;
use syncline_core::matching::normalise;

/// Fields that go by many names, and these names, written together in lower case.
const KNOWN_FIELDS: &[(&str, &[&str])] = &[
    ("email", &["email", "mail", "emailaddress", "emailaddr", "mailaddress", "primaryemail"]),
    (
        "phone",
        &[
            "phone",
            "tel",
            "telephone",
            "telefon",
            "phonenumber",
            "phoneno",
            "telefonnummer",
            "telephonenumber",
            "primaryphone",
        ],
    ),
    ("mobile", &["mobile", "mobil", "mobilephone", "mobilenumber", "cell", "cellphone", "handy"]),
    ("first_name", &["firstname", "givenname", "forename", "vorname", "fname", "prenom"]),
    ("last_name", &["lastname", "surname", "familyname", "nachname", "lname", "nomdefamille"]),
    ("name", &["name", "fullname", "displayname", "contactname", "customername"]),
    (
        "company",
        &[
            "company",
            "companyname",
            "organisation",
            "organization",
            "organisationname",
            "organizationname",
            "firma",
            "employer",
        ],
    ),
    (
        "street",
        &["street", "streetaddress", "addressline1", "address1", "strasse", "mailingstreet"],
    ),
    ("postcode", &["postcode", "postalcode", "zip", "zipcode", "plz", "postleitzahl"]),
    ("city", &["city", "town", "ort", "stadt", "locality", "mailingcity"]),
    ("country", &["country", "land", "countryname"]),
    ("birth_date", &["birthdate", "dateofbirth", "dob", "birthday", "geburtsdatum"]),
    ("website", &["website", "web", "url", "homepage"]),
];

/// Words that say what was done with a file, not what is in it.
const NOISE: &[&str] = &[
    "export", "exports", "dump", "data", "list", "full", "all", "sample", "latest", "new", "file",
    "copy", "final",
];

/// The words of a name in lower case and without diacritics: `AccountID` → `account`, `id`.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut spaced = String::with_capacity(name.len() + 8);
    let chars: Vec<char> = name.chars().collect();
    for (i, &c) in chars.iter().enumerate() {
        let before = i.checked_sub(1).map(|i| chars[i]);
        let starts_word = c.is_uppercase()
            && before.is_some_and(|b| {
                let ends_acronym =
                    b.is_uppercase() && chars.get(i + 1).is_some_and(|next| next.is_lowercase());
                b.is_lowercase() || b.is_ascii_digit() || ends_acronym
            });
        if starts_word {
            spaced.push(' ');
        }
        spaced.push(c);
    }
    let folded = normalise(Normaliser::Text, &spaced);
    let parts = folded.split(|c: char| !c.is_alphanumeric());
    parts.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The field that a column becomes: a known one by its usual name, else the column's own words in snake case.
/// `None` for a name without letters and digits.
pub(super) fn field(column: &str) -> Option<String> {
    let words = words(column);
    let joined = words.concat();
    let known = KNOWN_FIELDS.iter().find(|(_, names)| names.contains(&joined.as_str()));
    match known {
        Some((field, _)) => Some((*field).to_owned()),
        None if words.is_empty() => None,
        None => Some(words.join("_")),
    }
}

/// A name that `taken` does not have yet: `wanted`, else `wanted_2`, `wanted_3`…
pub(super) fn free(wanted: &str, taken: impl Fn(&str) -> bool) -> String {
    if !taken(wanted) {
        return wanted.to_owned();
    }
    let numbered = (2_u32..).map(|number| format!("{wanted}_{number}"));
    numbered.into_iter().find(|name| !taken(name)).unwrap_or_else(|| wanted.to_owned())
}

/// Connection and entity of a file by its name without extensions: `crm-contacts` is the entity `contacts` at `crm`;
/// `contacts` stands for both.
pub(super) fn connection_and_entity(stem: &str) -> (String, String) {
    let is_version = |word: &String| {
        let digits = word.trim_start_matches('v');
        !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit())
    };
    let all = words(stem);
    let telling: Vec<String> = all
        .iter()
        .filter(|word| !is_version(word) && !NOISE.contains(&word.as_str()))
        .cloned()
        .collect();
    let named: Vec<String> = all.iter().filter(|word| !is_version(word)).cloned().collect();
    let telling = if telling.is_empty() { named } else { telling };
    match telling.as_slice() {
        [] => ("files".to_owned(), "records".to_owned()),
        [one] => (one.clone(), one.clone()),
        [system, rest @ ..] => (system.clone(), rest.join("_")),
    }
}

/// One of what an entity holds many of: `crm_companies` → `crm_company`.
pub(super) fn singular(entity: &str) -> String {
    let (head, last) = match entity.rsplit_once('_') {
        Some((head, last)) => (format!("{head}_"), last),
        None => (String::new(), entity),
    };
    let one = match last {
        "people" | "persons" => "person".to_owned(),
        "news" | "status" | "series" | "sales" => last.to_owned(),
        _ => match last {
            l if l.len() > 4 && l.ends_with("ies") => format!("{}y", &l[..l.len() - 3]),
            l if ["sses", "xes", "ches", "shes"].iter().any(|end| l.ends_with(end)) => {
                l[..l.len() - 2].to_owned()
            }
            l if l.len() > 3 && l.ends_with('s') && !l.ends_with("ss") && !l.ends_with("us") => {
                l[..l.len() - 1].to_owned()
            }
            l => l.to_owned(),
        },
    };
    format!("{head}{one}")
}

/// What kind of thing an entity's records stand for, as far as its name tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thing {
    /// A human being.
    Person,
    /// An organisation.
    Company,
    /// Something that happened or is sold: an e-mail address in it belongs to somebody else.
    Other,
    /// The name does not tell.
    Unknown,
}

/// What kind of thing the entity `entity` (in its singular) is.
pub(super) fn thing(entity: &str) -> Thing {
    let last = entity.rsplit('_').next().unwrap_or(entity);
    match last {
        "contact" | "person" | "customer" | "user" | "member" | "lead" | "subscriber"
        | "client" | "employee" | "patient" | "student" | "attendee" | "donor" | "guest"
        | "kunde" | "prospect" | "candidate" => Thing::Person,
        "company" | "account" | "organisation" | "organization" | "vendor" | "supplier"
        | "firm" | "business" | "firma" => Thing::Company,
        "order" | "invoice" | "payment" | "transaction" | "event" | "ticket" | "product"
        | "item" | "line" | "deal" | "opportunity" | "task" | "note" | "message" | "call"
        | "visit" | "log" | "activity" | "booking" | "case" | "quote" | "refund" | "shipment"
        | "sales" | "click" | "session" => Thing::Other,
        _ => Thing::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_become_fields() {
        for (column, expected) in [
            ("FirstName", Some("first_name")),
            ("AccountID", Some("account_id")),
            ("E-Mail", Some("email")),
            ("EmailAddress", Some("email")),
            (" Phone Number ", Some("phone")),
            ("PLZ", Some("postcode")),
            ("Straße", Some("street")),
            ("Größe (cm)", Some("grosse_cm")),
            ("a.b", Some("a_b")),
            ("HTTPServer2Name", Some("http_server2_name")),
            ("名前", Some("名前")),
            ("---", None),
            ("", None),
        ] {
            assert_eq!(field(column).as_deref(), expected, "{column}");
        }
    }

    #[test]
    fn files_tell_system_and_entity() {
        for (stem, connection, entity, one) in [
            ("contacts", "contacts", "contacts", "contact"),
            ("crm-contacts", "crm", "contacts", "contact"),
            ("billing_customers_2025-01-31", "billing", "customers", "customer"),
            ("Contacts Export (2)", "contacts", "contacts", "contact"),
            ("2025", "files", "records", "record"),
            ("data (2)", "data", "data", "data"),
            ("shop-order-lines", "shop", "order_lines", "order_line"),
            ("companies", "companies", "companies", "company"),
            ("addresses", "addresses", "addresses", "address"),
            ("…", "files", "records", "record"),
            ("people", "people", "people", "person"),
        ] {
            let expected = (connection.to_owned(), entity.to_owned());
            assert_eq!(connection_and_entity(stem), expected, "{stem}");
            assert_eq!(singular(entity), one);
        }
    }
}
