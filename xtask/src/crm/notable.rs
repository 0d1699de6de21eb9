//! People written by hand: the cases that the example's page tells about.

use super::billing::Customer;
use super::contacts::{Address, Contact, Text};
use super::newsletter::Subscriber;
use super::{Exports, Row};

/// How many there are; they have the numbers from 0.
pub(super) const PEOPLE: usize = 15;

/// Adds their rows.
pub(super) fn add(exports: &mut Exports) {
    elisabeth(exports);
    joerg(exports);
    fiona(exports);
    anna(exports);
    juergen(exports);
    beckers(exports);
    brandts(exports);
    shared_mailbox(exports);
    rossis(exports);
    unknown_account(exports);
    charlotte(exports);
}

struct Place(&'static str, &'static str, &'static str, &'static str);

fn contact(
    (first, last): (&str, &str),
    email: &str,
    phone: &str,
    account: usize,
    Place(street, postcode, city, country): Place,
) -> Contact {
    Contact {
        first_name: first.to_owned(),
        last_name: Text::known(last),
        email: Text::known(email),
        phone: if phone.is_empty() { Text::Null } else { Text::known(phone) },
        title: Text::Null,
        account: Some(account),
        address: Address::Known {
            street: street.to_owned(),
            city: city.to_owned(),
            postcode: postcode.to_owned(),
            country: country.to_owned(),
            numeric_postcode: false,
        },
        owner: 11,
        modified: Text::known("2025-02-11T09:30:00.000Z"),
    }
}

fn customer(
    name: &str,
    email: &str,
    phone: &str,
    company: &str,
    Place(street, zip, city, country): Place,
) -> Customer {
    Customer {
        name: name.to_owned(),
        email: email.to_owned(),
        phone: phone.to_owned(),
        company: company.to_owned(),
        street: street.to_owned(),
        zip: zip.to_owned(),
        city: city.to_owned(),
        country: country.to_owned(),
        created: "14.05.2023".to_owned(),
        amount: "1840,50".to_owned(),
        ..Customer::default()
    }
}

fn subscriber(email: &str, full_name: &str) -> Subscriber {
    Subscriber {
        email: email.to_owned(),
        full_name: full_name.to_owned(),
        subscribed: true,
        signup_date: "2024-09-03".to_owned(),
        source: "webinar",
    }
}

const ELISABETH: &str = "in all three, with a nickname and a typo: Elisabeth Hartmann";

fn elisabeth(exports: &mut Exports) {
    let email = "elisabeth.hartmann@hansaoptik.example";
    let home = Place("Lindenstraße 14", "20457", "Hamburg", "DE");
    let row = contact(("Elisabeth", "Hartmann"), email, "+49 40 5550142", 0, home);
    exports.contacts.push(Row::of(0, row).noted(ELISABETH));
    let home = Place("Lindenstr. 14", "20457", "Hamburg", "Deutschland");
    let mail = "Buchhaltung@HansaOptik.example";
    let row = customer("Hartman, Lisa", mail, "040/5550142", "Hansa Optik", home);
    exports.customers.push(Row::of(0, row).noted(ELISABETH));
    let row = subscriber("elisabeth.hartmann+news@hansaoptik.example", "lisa hartmann");
    exports.subscribers.push(Row::of(0, row).noted(ELISABETH));
}

const JOERG: &str = "in all three, umlauts spelt three ways: Jörg Müller";

fn joerg(exports: &mut Exports) {
    let home = Place("Ahornweg 3", "22765", "Hamburg", "DE");
    let email = "joerg.mueller@alsterlogistik.example";
    let row = contact(("Jörg", "Müller"), email, "+49 40 5550199", 1, home);
    exports.contacts.push(Row::of(1, row).noted(JOERG));
    let home = Place("Ahornweg 3", "22765", "Hamburg", "D");
    let mail = "JOERG.MUELLER@ALSTERLOGISTIK.EXAMPLE";
    let company = "Alster Logistik GmbH & Co. KG";
    let row = customer("Mueller, Joerg", mail, "0049 40 5550199", company, home);
    exports.customers.push(Row::of(1, row).noted(JOERG));
    let row = subscriber("joerg.mueller@alsterlogistik.example", "Jorg Muller");
    exports.subscribers.push(Row::of(1, row).noted(JOERG));
}

const FIONA: &str = "in all three, apostrophes of three kinds: Fiona O'Connor";

fn fiona(exports: &mut Exports) {
    let home = Place("28 Mill Road", "LS6 2QX", "Leeds", "United Kingdom");
    let email = "fiona.oconnor@whitfield.example";
    let row = contact(("Fiona", "O'Connor"), email, "+44 113 4960123", 3, home);
    exports.contacts.push(Row::of(2, row).noted(FIONA));
    let home = Place("28 Mill Rd", "LS6 2QX", "Leeds", "GB");
    let company = "Whitfield & Sons";
    let row = customer("Fiona O’Connor", "Fiona.OConnor@whitfield.example", "", company, home);
    exports.customers.push(Row::of(2, row).noted(FIONA));
    let row = subscriber("fiona.oconnor@whitfield.example", "fiona oconnor");
    exports.subscribers.push(Row::of(2, row).noted(FIONA));
}

const ANNA: &str = "married between two systems: Anna Keller, now Anna Vogel";

fn anna(exports: &mut Exports) {
    let home = Place("Marktstraße 9", "23552", "Lübeck", "DE");
    let email = "anna.keller@nordlichtmedien.example";
    let mut row = contact(("Anna", "Keller"), email, "+49 451 5550110", 2, home);
    row.modified = Text::known("2024-01-18T14:02:00.000Z");
    exports.contacts.push(Row::of(3, row).noted(ANNA));
    let home = Place("Marktstraße 9", "23552", "Lübeck", "DE");
    let mail = "anna.keller@nordlichtmedien.example";
    let row = customer("Vogel, Anna", mail, "0451-5550110", "Nordlicht Medien GmbH", home);
    exports.customers.push(Row::of(3, row).noted(ANNA));
}

const JUERGEN: &str = "twice in the CRM, first and last name swapped: Jürgen Koch";

fn juergen(exports: &mut Exports) {
    let email = "juergen.koch@elbemaschinenbau.example";
    let home = || Place("Hafenstraße 71", "20359", "Hamburg", "DE");
    let row = contact(("Jürgen", "Koch"), email, "+49 40 5550177", 5, home());
    exports.contacts.push(Row::of(4, row).noted(JUERGEN));
    let mut row = contact(("Koch", "Juergen"), email, "", 5, home());
    row.modified = Text::known("2025-08-21T07:45:00.000Z");
    exports.contacts.push(Row::of(4, row).noted(JUERGEN));
    let home = Place("Hafenstr. 71", "20359", "Hamburg", "DE");
    let row = customer("Jürgen Koch", "", "(040) 555 0177", "Elbe Maschinenbau AG", home);
    exports.customers.push(Row::of(4, row).noted(JUERGEN));
}

const BECKERS: &str = "not the same, one name at one address: Thomas Becker, father and son";

fn beckers(exports: &mut Exports) {
    let home = || Place("Gartenstraße 22", "22089", "Hamburg", "DE");
    let email = "thomas.becker@mailbox.example";
    let row = contact(("Thomas", "Becker"), email, "+49 40 5550151", 1, home());
    exports.contacts.push(Row::of(5, row).noted(BECKERS));
    let email = "tom.becker@webmail.example";
    let row = contact(("Thomas", "Becker"), email, "+49 40 5550163", 5, home());
    exports.contacts.push(Row::of(6, row).noted(BECKERS));
}

const BRANDTS: &str = "not the same, one telephone: Maria and Markus Brandt";

fn brandts(exports: &mut Exports) {
    let home = || Place("Birkenweg 5", "22303", "Hamburg", "DE");
    let email = "maria.brandt@post.example";
    let row = contact(("Maria", "Brandt"), email, "+49 40 5550188", 2, home());
    exports.contacts.push(Row::of(7, row).noted(BRANDTS));
    let email = "markus.brandt@post.example";
    let row = contact(("Markus", "Brandt"), email, "+49 40 5550188", 0, home());
    exports.contacts.push(Row::of(8, row).noted(BRANDTS));
}

const MAILBOX: &str = "not the same, one mailbox: info@elbemaschinenbau.example";

fn shared_mailbox(exports: &mut Exports) {
    let email = "info@elbemaschinenbau.example";
    let office = || Place("Werftstraße 1", "20457", "Hamburg", "DE");
    let row = contact(("Sabine", "Lorenz"), email, "+49 40 5550120", 5, office());
    exports.contacts.push(Row::of(9, row).noted(MAILBOX));
    let row = contact(("Uwe", "Pfeiffer"), email, "+49 40 5550121", 5, office());
    exports.contacts.push(Row::of(10, row).noted(MAILBOX));
}

const ROSSIS: &str = "not the same, one name in two towns: Andrea Rossi";

fn rossis(exports: &mut Exports) {
    let home = Place("Via Garibaldi 8", "10122", "Torino", "IT");
    let email = "andrea.rossi@torrefazionerossi.example";
    let row = contact(("Andrea", "Rossi"), email, "+39 011 5550132", 4, home);
    exports.contacts.push(Row::of(11, row).noted(ROSSIS));
    let home = Place("Via Manzoni 40", "20121", "Milano", "Italy");
    let row = customer("Rossi, Andrea", "A.Rossi@post.example", "02/55501987", "", home);
    exports.customers.push(Row::of(12, row).noted(ROSSIS));
}

const UNKNOWN: &str = "a contact of an account that is not there, in billing too: Claudia Seidel";

fn unknown_account(exports: &mut Exports) {
    let home = Place("Poststraße 17", "20354", "Hamburg", "DE");
    let email = "claudia.seidel@seidelpartner.example";
    let row = contact(("Claudia", "Seidel"), email, "+49 40 5550170", 430, home);
    exports.contacts.push(Row::of(13, row).noted(UNKNOWN));
    let home = Place("Poststr. 17", "20354", "Hamburg", "DE");
    let mail = "Claudia.Seidel@SeidelPartner.example";
    let row = customer("Claudia Seidel", mail, "040 5550170", "Seidel + Partner", home);
    exports.customers.push(Row::of(13, row).noted(UNKNOWN));
}

const CHARLOTTE: &str = "the newer system is right: Charlotte Ashworth moved";

fn charlotte(exports: &mut Exports) {
    let home = Place("3 Orchard Road", "NR2 1AB", "Norwich", "GB");
    let email = "charlotte.ashworth@whitfield.example";
    let mut row = contact(("Charlotte", "Ashworth"), email, "+44 1603 555014", 3, home);
    row.modified = Text::known("2025-11-20T16:20:00.000Z");
    exports.contacts.push(Row::of(14, row).noted(CHARLOTTE));
    let home = Place("112 Victoria Road", "LS6 1DT", "Leeds", "GB");
    let mail = "Charlotte.Ashworth@whitfield.example";
    let row = customer("Ashworth, Lottie", mail, "01603/555014", "Whitfield & Sons", home);
    exports.customers.push(Row::of(14, row).noted(CHARLOTTE));
    let row = subscriber("charlotte.ashworth@whitfield.example", "Lottie Ashworth");
    exports.subscribers.push(Row::of(14, row).noted(CHARLOTTE));
}
