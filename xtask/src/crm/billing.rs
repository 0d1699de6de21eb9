//! The billing system's customers.

use super::{About, Row};

/// A customer as the billing system has it; every text is written as it stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Customer {
    pub(super) name: String,
    pub(super) email: String,
    pub(super) phone: String,
    pub(super) company: String,
    pub(super) street: String,
    pub(super) zip: String,
    pub(super) city: String,
    pub(super) country: String,
    pub(super) created: String,
    pub(super) amount: String,
    /// Given by [`number`].
    pub(super) number: usize,
}

/// Positions of customers that the export holds twice, and how many rows later the second one stands.
const REPEATED: [(usize, usize); 2] = [(212, 35), (507, 120)];

/// Numbers the customers in their order, and repeats some of them under the same number, changed.
pub(super) fn number(rows: &mut Vec<Row<Customer>>) {
    for (number, row) in (10_001..).zip(rows.iter_mut()) {
        row.content.number = number;
    }
    for (position, later) in REPEATED {
        let mut again = rows[position].clone().noted("the same customer number twice");
        again.content.amount = "99,00".to_owned();
        rows.insert(position + later, again);
    }
}

/// The customers as CSV: semicolons, Windows-1252, CRLF.
pub(super) fn file(rows: &[Row<Customer>], about: &mut About) -> Vec<u8> {
    let head = "customer_no;name;email;phone;company;street;zip;city;country;created;amount\r\n";
    let mut out = encoded(head);
    for row in rows {
        let c = &row.content;
        let id = format!("K-{}", c.number);
        about.add("billing", &id, row);
        let cells = [
            &id, &c.name, &c.email, &c.phone, &c.company, &c.street, &c.zip, &c.city, &c.country,
            &c.created, &c.amount,
        ];
        let line: Vec<&str> = cells.into_iter().map(String::as_str).collect();
        out.extend(encoded(&format!("{}\r\n", line.join(";"))));
    }
    out
}

/// `text` in Windows-1252; what that does not have becomes a question mark, as such exports do it.
fn encoded(text: &str) -> Vec<u8> {
    let byte = |letter: char| match letter {
        '’' => 0x92,
        '\u{80}'..='\u{9f}' => b'?',
        other => u8::try_from(u32::from(other)).unwrap_or(b'?'),
    };
    text.chars().map(byte).collect()
}
