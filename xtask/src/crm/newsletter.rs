//! The newsletter's subscribers.

use super::{About, Row};

/// A row of the newsletter's list.
#[derive(Clone, Debug)]
pub(super) enum Subscriber {
    /// A row with its five columns.
    Row {
        email: String,
        full_name: String,
        subscribed: bool,
        signup_date: String,
        source: &'static str,
    },
    /// A line that does not have five columns.
    Malformed(&'static str),
}

/// The subscribers as CSV: commas, UTF-8.
pub(super) fn file(rows: &[Row<Subscriber>], about: &mut About) -> Vec<u8> {
    let mut out = String::from("email,full_name,subscribed,signup_date,source\n");
    for (line, row) in (2..).zip(rows) {
        about.add("newsletter", &format!("line {line}"), row);
        match &row.content {
            Subscriber::Row { email, full_name, subscribed, signup_date, source } => {
                let subscribed = if *subscribed { "yes" } else { "no" };
                let (email, name) = (quoted(email), quoted(full_name));
                out.push_str(&format!("{email},{name},{subscribed},{signup_date},{source}\n"));
            }
            Subscriber::Malformed(text) => out.push_str(&format!("{text}\n")),
        }
    }
    out.into_bytes()
}

fn quoted(text: &str) -> String {
    if text.contains(',') { format!("\"{text}\"") } else { text.to_owned() }
}
