//! The newsletter's subscribers.

use super::{About, Row};

/// A row of the newsletter's list.
#[derive(Clone, Debug)]
pub(super) struct Subscriber {
    pub(super) email: String,
    pub(super) full_name: String,
    pub(super) subscribed: bool,
    pub(super) signup_date: String,
    pub(super) source: &'static str,
}

/// The subscribers as CSV: commas, UTF-8.
pub(super) fn file(rows: &[Row<Subscriber>], about: &mut About) -> Vec<u8> {
    let mut out = String::from("email,full_name,subscribed,signup_date,source\n");
    for (line, row) in (2..).zip(rows) {
        about.add("newsletter", &format!("line {line}"), row);
        let Subscriber { email, full_name, subscribed, signup_date, source } = &row.content;
        let subscribed = if *subscribed { "yes" } else { "no" };
        let (email, name) = (quoted(email), quoted(full_name));
        out.push_str(&format!("{email},{name},{subscribed},{signup_date},{source}\n"));
    }
    out.into_bytes()
}

fn quoted(text: &str) -> String {
    if text.contains(',') { format!("\"{text}\"") } else { text.to_owned() }
}
