//! The CRM's contacts.

use super::{About, Row, accounts};
use serde_json::{Map, Value, json};

/// A contact as the CRM has it.
#[derive(Clone, Debug)]
pub(super) struct Contact {
    pub(super) first_name: String,
    pub(super) last_name: Text,
    pub(super) email: Text,
    pub(super) phone: Text,
    pub(super) title: Text,
    /// The position of the account it works for.
    pub(super) account: Option<usize>,
    /// Street, city, postcode and country.
    pub(super) address: Address,
    pub(super) owner: usize,
    pub(super) modified: Text,
}

/// A text that may be missing in the three ways in which a field can be.
#[derive(Clone, Debug)]
pub(super) enum Text {
    Known(String),
    /// `""`
    Empty,
    /// `null`
    Null,
    /// The key is not there.
    Absent,
}

impl Text {
    pub(super) fn known(text: &str) -> Self {
        Self::Known(text.to_owned())
    }
}

/// Where a contact gets its mail.
#[derive(Clone, Debug)]
pub(super) enum Address {
    Known {
        street: String,
        city: String,
        postcode: String,
        country: String,
        /// The postcode is written as a number, as spreadsheets like to do.
        numeric_postcode: bool,
    },
    Null,
    Absent,
}

/// The contacts as JSON Lines.
pub(super) fn file(rows: &[Row<Contact>], about: &mut About) -> Vec<u8> {
    let mut out = String::new();
    for (number, row) in (1..).zip(rows) {
        let id = format!("0035g0000{number:06}");
        about.add("crm", &id, row);
        out.push_str(&format!("{}\n", Value::Object(object(&id, &row.content))));
    }
    out.into_bytes()
}

fn object(id: &str, contact: &Contact) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("Id".to_owned(), json!(id));
    object.insert("FirstName".to_owned(), json!(contact.first_name));
    let texts = [
        ("LastName", &contact.last_name),
        ("Email", &contact.email),
        ("Phone", &contact.phone),
        ("Title", &contact.title),
    ];
    for (key, text) in texts {
        put(&mut object, key, text);
    }
    object.insert("AccountId".to_owned(), json!(contact.account.map(accounts::id)));
    match &contact.address {
        Address::Known { street, city, postcode, country, numeric_postcode } => {
            let number = postcode.parse::<u32>().ok().filter(|_| *numeric_postcode);
            let code = number.map_or_else(|| json!(postcode), |number| json!(number));
            let address =
                json!({ "Street": street, "City": city, "PostalCode": code, "Country": country });
            object.insert("MailingAddress".to_owned(), address);
        }
        Address::Null => {
            object.insert("MailingAddress".to_owned(), Value::Null);
        }
        Address::Absent => {}
    }
    object.insert("OwnerId".to_owned(), json!(format!("0055g0000{:06}", contact.owner)));
    put(&mut object, "LastModifiedDate", &contact.modified);
    object
}

fn put(object: &mut Map<String, Value>, key: &str, text: &Text) {
    let value = match text {
        Text::Known(text) => json!(text),
        Text::Empty => json!(""),
        Text::Null => Value::Null,
        Text::Absent => return,
    };
    object.insert(key.to_owned(), value);
}
