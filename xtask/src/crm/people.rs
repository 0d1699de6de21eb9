//! The customers themselves, and what each system says of them.

use super::accounts::{self, Account};
use super::billing::Customer;
use super::contacts::{Address, Contact, Text};
use super::names::{Names, Town};
use super::newsletter::Subscriber;
use super::{Exports, Row, day, notable};
use crate::contacts::{postcode, typo};
use crate::rng::Rng;
use crate::words::{City, Words, slug};
use std::collections::BTreeSet;

/// How many people are in which systems: CRM, billing, newsletter. Hand-written people come on top.
const GROUPS: [(usize, [bool; 3]); 7] = [
    (254, [true, true, true]),
    (236, [true, true, false]),
    (218, [true, false, true]),
    (90, [false, true, true]),
    (336, [true, false, false]),
    (186, [false, true, false]),
    (250, [false, false, true]),
];
/// How many people have a second contact in the CRM, or a second customer number in billing.
const SECOND_CONTACTS: usize = 38;
const SECOND_CUSTOMERS: usize = 5;
/// How many subscribers signed up again.
const REPEATED_SIGN_UPS: usize = 60;

const TITLES: [&str; 9] = [
    "Managing Director",
    "Head of Purchasing",
    "Buyer",
    "Office Manager",
    "IT Manager",
    "Accountant",
    "Marketing Manager",
    "Engineer",
    "Owner",
];
const SOURCES: [&str; 5] = ["website", "trade fair", "webinar", "import", "referral"];
const ROLES: [&str; 4] = ["info", "office", "sales", "kontakt"];
const BROKEN_EMAILS: [&str; 6] = [
    "anna.weber@",
    "j.koch(at)mailbox.example",
    "no-mail",
    "maria@@mailbox.example",
    "peter@firma,example",
    "@webmail.example",
];

struct Person {
    number: usize,
    first: &'static str,
    last: &'static str,
    email: String,
    private_email: String,
    account: Option<usize>,
    /// Of the company, for mail to its accounting.
    host: Option<String>,
    company: String,
    town: Town,
    street: String,
    postcode: String,
    /// Country code, area code and number, in digits.
    phone: (&'static str, String),
}

/// Adds the rows of everyone who is not hand-written.
pub(super) fn add(exports: &mut Exports, words: &Words, names: &Names, rng: &mut Rng) {
    let mut maker = Maker { words, names, rng, taken: BTreeSet::new() };
    let mut number = notable::PEOPLE;
    let mut in_crm = Vec::new();
    for (count, [crm, billing, newsletter]) in GROUPS {
        for position in 0..count {
            let person = maker.person(number, &exports.accounts);
            number += 1;
            if crm {
                let row = Row::of(person.number, maker.contact(&person));
                let only_here = !billing && !newsletter;
                exports.contacts.push(if only_here { damaged(row, position) } else { row });
            }
            if billing {
                let row = Row::of(person.number, maker.customer(&person));
                let only_here = !crm && !newsletter;
                exports.customers.push(if only_here { odd(row, position) } else { row });
            }
            if newsletter {
                exports.subscribers.push(Row::of(person.number, maker.subscriber(&person)));
            }
            // Those whose rows are damaged on purpose come first in their group.
            if crm && position >= 40 {
                in_crm.push((person, billing));
            }
        }
    }
    maker.second_rows(&mut in_crm, exports);
    maker.repeated_sign_ups(exports);
    maker.odd_subscribers(exports);
}

/// Contacts of people in the CRM alone are damaged where they come first.
fn damaged(mut row: Row<Contact>, position: usize) -> Row<Contact> {
    let contact = &mut row.content;
    let note = match position {
        0 | 1 => {
            contact.last_name = Text::Empty;
            "a contact with an empty last name"
        }
        2 => {
            contact.last_name = Text::Null;
            "a contact with last name null"
        }
        3..7 => {
            let broken = ["n/a", "petra.lang(at)mailbox.example", "m.weber@", "kein@@post.example"];
            contact.email = Text::known(broken[position - 3]);
            "a contact with an invalid e-mail"
        }
        7..19 => {
            contact.account = Some(400 + position);
            "a contact of an account that is not there"
        }
        19..24 => {
            if let Address::Known { numeric_postcode, postcode, .. } = &mut contact.address {
                *numeric_postcode = true;
                *postcode = format!("20{:03}", 91 + position);
            }
            "a contact with a number for a postcode"
        }
        24..27 => {
            contact.modified = Text::Absent;
            "a contact without LastModifiedDate"
        }
        _ => return row,
    };
    row.noted(note)
}

/// Customers of billing alone are odd where they come first.
fn odd(mut row: Row<Customer>, position: usize) -> Row<Customer> {
    let customer = &mut row.content;
    let note = match position {
        0 | 1 => {
            customer.created = "31.02.2024".to_owned();
            "a customer since a day that never was"
        }
        2 => {
            customer.name.clear();
            "a customer without a name"
        }
        3 => {
            customer.amount = "k. A.".to_owned();
            "a customer with an amount that is no number"
        }
        4..6 => {
            customer.created.clear();
            "a customer without a date"
        }
        _ => return row,
    };
    row.noted(note)
}

struct Maker<'a> {
    words: &'a Words,
    names: &'a Names,
    rng: &'a mut Rng,
    /// Mail addresses that are someone's already.
    taken: BTreeSet<String>,
}

impl Maker<'_> {
    fn person(&mut self, number: usize, all: &[Account]) -> Person {
        let town = self.names.town(self.rng);
        let (first, last) = self.names.name(town.country, self.rng);
        let here: Vec<usize> = (accounts::NAMED.len()..all.len())
            .filter(|&position| all[position].city == town.name)
            .collect();
        let employed = !here.is_empty() && self.rng.chance(0.85);
        let account = employed.then(|| *self.rng.pick(&here));
        let host = account.map(|position| all[position].host());
        let city =
            City { name: town.name, country: town.country, postcode_start: town.postcode_start };
        let private_host = *self.rng.pick(&["mailbox.example", "post.example", "webmail.example"]);
        let private_email = self.address(first, last, private_host);
        Person {
            number,
            first,
            last,
            email: match &host {
                Some(host) => self.address(first, last, host),
                None => private_email.clone(),
            },
            private_email,
            account,
            host,
            company: account.map(|position| all[position].name.clone()).unwrap_or_default(),
            town,
            street: self.street(town.country),
            postcode: postcode(city, self.rng),
            phone: (self.words.dial_code(town.country), self.local_number(town)),
        }
    }

    fn address(&mut self, first: &str, last: &str, host: &str) -> String {
        let (first, last) = (slug(&german(first)), slug(&german(last)));
        let mut address = format!("{first}.{last}@{host}");
        while !self.taken.insert(address.clone()) {
            address = format!("{first}.{last}{}@{host}", 2 + self.rng.below(98));
        }
        address
    }

    fn street(&mut self, country: &str) -> String {
        let house = 1 + self.rng.below(140);
        let name = self.names.street(country, self.rng);
        match country {
            "GB" => format!("{house} {name} Road"),
            "FR" => format!("{house} rue {name}"),
            "IT" => format!("Via {name} {house}"),
            "NL" => format!("{name}laan {house}"),
            _ => format!("{name}straße {house}"),
        }
    }

    fn local_number(&mut self, town: Town) -> String {
        let length = match town.country {
            "DE" | "AT" => 7,
            "GB" | "IT" => 10 - town.area.len(),
            _ => 9 - town.area.len(),
        };
        let first = (b'2' + self.rng.below(8) as u8) as char;
        let rest = (1..length).map(|_| (b'0' + self.rng.below(10) as u8) as char);
        [first].into_iter().chain(rest).collect()
    }

    fn contact(&mut self, person: &Person) -> Contact {
        let mut first = person.first.to_owned();
        let mut last = person.last.to_owned();
        match self.rng.unit() {
            draw if draw < 0.05 => last = typo(&last, self.rng),
            draw if draw < 0.11 => first = self.nickname(person),
            _ => {}
        }
        let (dial, local) = (person.phone.0, &person.phone.1);
        let area = person.town.area;
        let phone = match self.rng.below(10) {
            0..7 => format!("+{dial} {area} {local}"),
            7 | 8 => format!("+{dial}{area}{local}"),
            _ => format!("{}{area} {local}", trunk(person)),
        };
        let title = (*self.rng.pick(&TITLES)).to_owned();
        Contact {
            first_name: first,
            last_name: Text::Known(last),
            email: self.gap(person.email.clone(), 0.10),
            phone: self.gap(phone, 0.15),
            title: self.gap(title, 0.30),
            account: person.account,
            address: self.contact_address(person),
            owner: 11 + self.rng.below(4),
            modified: Text::Known(accounts::modified(self.rng)),
        }
    }

    fn contact_address(&mut self, person: &Person) -> Address {
        match self.rng.unit() {
            draw if draw < 0.06 => Address::Null,
            draw if draw < 0.08 => Address::Absent,
            draw => Address::Known {
                street: person.street.clone(),
                city: person.town.name.to_owned(),
                postcode: person.postcode.clone(),
                country: if draw < 0.7 {
                    person.town.country.to_owned()
                } else {
                    self.words.country_name(person.town.country).to_owned()
                },
                numeric_postcode: false,
            },
        }
    }

    /// `text`, or with probability `share` one of the three ways of not having it.
    fn gap(&mut self, text: String, share: f64) -> Text {
        if !self.rng.chance(share) {
            return Text::Known(text);
        }
        match self.rng.below(10) {
            0..5 => Text::Null,
            5..8 => Text::Absent,
            _ => Text::Empty,
        }
    }

    fn nickname(&mut self, person: &Person) -> String {
        self.names.nickname(person.first, self.rng).unwrap_or(person.first).to_owned()
    }

    fn customer(&mut self, person: &Person) -> Customer {
        let (mut first, mut last) = (person.first.to_owned(), person.last.to_owned());
        match self.rng.unit() {
            draw if draw < 0.07 => last = typo(&last, self.rng),
            draw if draw < 0.12 => first = self.nickname(person),
            draw if draw < 0.25 => (first, last) = (german(&first), german(&last)),
            _ => {}
        }
        let (year, month, day) = day(self.rng);
        let cents = 900 + self.rng.below_skewed(900_000);
        Customer {
            name: if self.rng.chance(0.55) {
                format!("{last}, {first}")
            } else {
                format!("{first} {last}")
            },
            email: self.billing_email(person),
            phone: self.billing_phone(person),
            company: person.company.clone(),
            street: person
                .street
                .replace("straße", if self.rng.chance(0.5) { "str." } else { "straße" }),
            zip: person.postcode.clone(),
            city: person.town.name.to_owned(),
            country: match person.town.country {
                "DE" => (*self.rng.pick(&["DE", "Deutschland", "D"])).to_owned(),
                code if self.rng.chance(0.5) => code.to_owned(),
                code => self.words.country_name(code).to_owned(),
            },
            created: format!("{day:02}.{month:02}.{year}"),
            amount: format!("{},{:02}", cents / 100, cents % 100),
            ..Customer::default()
        }
    }

    fn billing_email(&mut self, person: &Person) -> String {
        let email = &person.email;
        match (self.rng.unit(), &person.host) {
            (draw, Some(host)) if draw < 0.10 => format!("buchhaltung@{host}"),
            (draw, _) if draw < 0.15 => String::new(),
            (draw, _) if draw < 0.35 => email.to_uppercase(),
            (draw, _) if draw < 0.55 => {
                let capital = |part: &str| part[..1].to_uppercase() + &part[1..];
                email.split('.').map(capital).collect::<Vec<_>>().join(".")
            }
            (draw, _) if draw < 0.59 => format!(" {email} "),
            _ => email.clone(),
        }
    }

    fn billing_phone(&mut self, person: &Person) -> String {
        let (dial, local) = (person.phone.0, &person.phone.1);
        let (zero, area) = (trunk(person), person.town.area);
        match self.rng.below(7) {
            0 | 1 => format!("{zero}{area}/{local}"),
            2 => format!("00{dial} {area} {local}"),
            3 => format!("({zero}{area}) {} {}", &local[..3], &local[3..]),
            4 => format!("{zero}{area}-{local}"),
            5 => format!("+{dial} {area} {local}"),
            _ => String::new(),
        }
    }

    fn subscriber(&mut self, person: &Person) -> Subscriber {
        let email = match self.rng.unit() {
            draw if draw < 0.10 => person.private_email.clone(),
            draw if draw < 0.22 => person.email.replacen('@', "+news@", 1),
            _ => person.email.clone(),
        };
        let full_name = match self.rng.unit() {
            draw if draw < 0.05 => String::new(),
            draw if draw < 0.15 => format!("{} {}", self.nickname(person), person.last),
            draw if draw < 0.30 => format!("{} {}", person.first, person.last).to_lowercase(),
            draw if draw < 0.35 => format!("{} {}", person.first, typo(person.last, self.rng)),
            _ => format!("{} {}", person.first, person.last),
        };
        self.signed_up(email, full_name)
    }

    fn signed_up(&mut self, email: String, full_name: String) -> Subscriber {
        let (year, month, day) = day(self.rng);
        Subscriber {
            email,
            full_name,
            subscribed: self.rng.chance(0.88),
            signup_date: format!("{year}-{month:02}-{day:02}"),
            source: SOURCES[self.rng.below(SOURCES.len())],
        }
    }

    /// Second contacts and second customer numbers of the same person.
    fn second_rows(&mut self, in_crm: &mut [(Person, bool)], exports: &mut Exports) {
        self.rng.shuffle(in_crm);
        for (person, _) in in_crm.iter().take(SECOND_CONTACTS) {
            let mut contact = self.contact(person);
            match self.rng.below(3) {
                0 => contact.first_name = self.nickname(person),
                1 => contact.last_name = Text::Known(typo(person.last, self.rng)),
                _ => contact.email = Text::Known(person.private_email.clone()),
            }
            exports.contacts.push(Row::of(person.number, contact));
        }
        let in_both = in_crm.iter().skip(SECOND_CONTACTS).filter(|(_, billing)| *billing);
        for (person, _) in in_both.take(SECOND_CUSTOMERS) {
            let row = Row::of(person.number, self.customer(person));
            exports.customers.push(row.noted("a second customer number of one person"));
        }
    }

    /// The same address again, in other letters, or unsubscribed by now.
    fn repeated_sign_ups(&mut self, exports: &mut Exports) {
        for _ in 0..REPEATED_SIGN_UPS {
            let mut again = self.rng.pick(&exports.subscribers).clone();
            again.note = "";
            let Subscriber { email, subscribed, signup_date, .. } = &mut again.content;
            let (_, month, day) = day(self.rng);
            *signup_date = format!("2025-{month:02}-{day:02}");
            *subscribed = self.rng.chance(0.5);
            if self.rng.chance(0.4) {
                *email = email.to_uppercase();
            }
            exports.subscribers.push(again);
        }
    }

    /// Rows about nobody that another system knows.
    fn odd_subscribers(&mut self, exports: &mut Exports) {
        for number in 0..14 {
            let host = exports.accounts[(number * 13 + 2) % exports.accounts.len()].host();
            let email = format!("{}@{host}", ROLES[number % ROLES.len()]);
            let content = self.signed_up(email, String::new());
            exports.subscribers.push(Row { person: None, note: "", content });
        }
        for email in BROKEN_EMAILS {
            let content = self.signed_up(email.to_owned(), String::new());
            let row = Row { person: None, note: "a subscriber with an invalid e-mail", content };
            exports.subscribers.push(row);
        }
        for (email, full_name, signup_date, source) in [
            ("lena.fuchs@post.example", "Lena Fuchs", "2024-06-11", "website"),
            ("office@kanzlei-graf.example", "Graf, Partner & Co", "2024-03-18", "trade fair"),
        ] {
            let content = Subscriber {
                email: email.to_owned(),
                full_name: full_name.to_owned(),
                subscribed: true,
                signup_date: signup_date.to_owned(),
                source,
            };
            exports.subscribers.push(Row { person: None, note: "", content });
        }
    }
}

/// What is dialled in front of the area code within the country; Italy's is part of the code.
fn trunk(person: &Person) -> &'static str {
    if person.town.country == "IT" { "" } else { "0" }
}

/// `text` with its umlauts written in two letters.
fn german(text: &str) -> String {
    let pairs =
        [("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("Ä", "Ae"), ("Ö", "Oe"), ("Ü", "Ue"), ("ß", "ss")];
    pairs.iter().fold(text.to_owned(), |text, (umlaut, pair)| text.replace(umlaut, pair))
}
