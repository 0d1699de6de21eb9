use super::*;
use crate::config::model::Country;
use proptest::prelude::*;

const ALL: [Normaliser; 19] = [
    Normaliser::None,
    Normaliser::Text,
    Normaliser::Name,
    Normaliser::Email,
    Normaliser::Phone,
    Normaliser::Company,
    Normaliser::Address,
    Normaliser::Alphanumeric,
    Normaliser::Digits,
    Normaliser::Date,
    Normaliser::FormalName,
    Normaliser::Initials,
    Normaliser::Street,
    Normaliser::DateDmy,
    Normaliser::DateMdy,
    Normaliser::PhoneOf(Country(*b"GB")),
    Normaliser::PhoneOf(Country(*b"US")),
    Normaliser::PhoneOf(Country(*b"IT")),
    Normaliser::PhoneOf(Country(*b"RU")),
];

#[track_caller]
fn check(normaliser: Normaliser, cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(normalise(normaliser, text), *expected, "{normaliser:?} of {text:?}");
    }
}

#[test]
fn none_leaves_text_as_it_stands() {
    check(Normaliser::None, &[("", ""), (" A  é\t", " A  é\t")]);
}

#[test]
fn text_is_folded() {
    check(
        Normaliser::Text,
        &[
            ("", ""),
            (" \t\n", ""),
            ("  Hello,\t World  ", "hello, world"),
            ("ÀÉÎÕÜ ç", "aeiou c"),
            ("e\u{301}", "e"),
            ("Straße", "strasse"),
            ("STRAẞE", "strasse"),
            ("Łódź", "lodz"),
            ("Søren Æbleskov", "soren aebleskov"),
            ("İstanbul ısı", "istanbul isi"),
            ("ﬁn", "fin"),
            ("Ｆｕｌｌ　１２", "full 12"),
            ("a\u{a0}b\u{200b}c\u{ad}d", "a bcd"),
            ("“x” – y…", "\"x\" - y..."),
            ("ΚΏΣΤΑΣ", "κωστασ"),
            ("Κώστας", "κωστασ"),
            ("Йозеф", "иозеф"),
            ("東京 がか", "東京 か\u{3099}か"),
            ("٣", "3"),
        ],
    );
}

#[test]
fn names_lose_titles_and_punctuation() {
    check(
        Normaliser::Name,
        &[
            ("John Smith", "john smith"),
            ("Mr. John Smith", "john smith"),
            ("Dr.Jane Smith, PhD", "jane smith"),
            ("Prof. Dr. Müller", "muller"),
            ("Smith, John", "john smith"),
            ("SMITH, Dr. John A.", "john a smith"),
            ("García Márquez, Gabriel", "gabriel garcia marquez"),
            ("Smith, John, Jr.", "john smith jr"),
            ("Smith, John, PhD, MBA", "john smith"),
            ("John Smith, Jr.", "john smith jr"),
            ("smith,john", "john smith"),
            ("Smith,", "smith"),
            ("a, b, c", "a b c"),
            ("Юрий Гагарин", "yurii gagarin"),
            ("Хрущёв", "khrushchev"),
            ("Ігор Шевченко", "igor shevchenko"),
            ("Ђоковић", "djokovich"),
            ("Ольга", "olga"),
            ("Γιώργος Παπαδόπουλος", "giorgos papadopoylos"),
            ("東京", "東京"),
            ("O'Brien", "obrien"),
            ("O’Brien", "obrien"),
            ("O´Brien", "obrien"),
            ("Anne-Marie", "anne marie"),
            ("J.R. Ewing", "j r ewing"),
            ("José  García", "jose garcia"),
            ("Łukasz Wójcik", "lukasz wojcik"),
            ("John Smith Jr.", "john smith jr"),
            ("Dr", "dr"),
            ("Mr Dr", "dr"),
            ("MD", "md"),
            ("Don Miller", "don miller"),
            ("Drew Miss", "drew miss"),
            ("...", ""),
            ("", ""),
        ],
    );
}

#[test]
fn email_aliases_are_one_address() {
    check(
        Normaliser::Email,
        &[
            ("Jane@Company.COM ", "jane@company.com"),
            ("jane.doe@company.com", "jane.doe@company.com"),
            ("jane+news@company.com", "jane+news@company.com"),
            ("j.a.n.e+news@gmail.com", "jane@gmail.com"),
            ("Jane.Doe@GoogleMail.com", "janedoe@gmail.com"),
            ("janedoe@googlemail.com", "janedoe@gmail.com"),
            ("jane.doe+x@outlook.com", "jane.doe@outlook.com"),
            ("jane+x@hotmail.co.uk", "jane@hotmail.co.uk"),
            ("jane+x@icloud.com", "jane@icloud.com"),
            ("jane+x@fastmail.com", "jane@fastmail.com"),
            ("jane+x@proton.me", "jane@proton.me"),
            ("+x@outlook.com", "+x@outlook.com"),
            ("..+x@gmail.com", "..+x@gmail.com"),
            ("mailto:jane@company.com", "jane@company.com"),
            ("Jane Doe <Jane@Company.com>", "jane@company.com"),
            ("jane@company.com.", "jane@company.com"),
            ("jürgen@münchen.de", "jürgen@münchen.de"),
            ("JÜRGEN@MÜNCHEN.DE", "jürgen@münchen.de"),
            ("a.b＠gmail.com", "ab@gmail.com"),
            ("Not an  Address", "not an address"),
            ("A@GoogleMail\u{80}com.", "a@googlemail com."),
            ("<a@x.com>.", "a@x.com"),
            ("m.ailto:x@gmail.com", "m.ailto:x@gmail.com"),
            ("@company.com", "@company.com"),
            ("jane@", "jane@"),
            ("jane doe@x.com", "jane doe@x.com"),
            ("", ""),
        ],
    );
}

#[test]
fn phone_numbers_are_the_same_in_all_their_forms() {
    check(
        Normaliser::Phone,
        &[
            ("+1 555 123 4567", "551234567"),
            ("0015551234567", "551234567"),
            ("(555) 123-4567", "551234567"),
            ("555.123.4567 x89", "551234567"),
            ("555-123-4567 ext. 89", "551234567"),
            ("tel:+1-555-123-4567", "551234567"),
            ("+44 20 7946 0958", "79460958"),
            ("+44 (0)20 7946 0958", "79460958"),
            ("0044 20 7946 0958", "79460958"),
            ("020 7946 0958", "79460958"),
            ("+49 30 123456", "30123456"),
            ("030 123456", "30123456"),
            ("+45 12 34 56 78", "12345678"),
            ("12345678", "12345678"),
            ("+353 1 234 5678", "12345678"),
            ("１２３４５６", "123456"),
            ("1234", ""),
            ("000000000", ""),
            ("n/a", ""),
            ("", ""),
        ],
    );
}

#[test]
fn companies_lose_their_legal_form() {
    check(
        Normaliser::Company,
        &[
            ("Acme Inc.", "acme"),
            ("ACME, Inc", "acme"),
            ("Acme Co., Ltd.", "acme"),
            ("Müller GmbH & Co. KG", "muller"),
            ("Banco S.A.", "banco"),
            ("Philips N.V.", "philips"),
            ("Cemex, S.A.B. de C.V.", "cemex"),
            ("Grab Pte. Ltd.", "grab"),
            ("Petronas Sdn Bhd", "petronas"),
            ("Škoda a.s.", "skoda"),
            ("Agrofert, s.r.o.", "agrofert"),
            ("Ericsson AB", "ericsson"),
            ("Bolt Technology OÜ", "bolt technology"),
            ("MOL Nyrt.", "mol"),
            ("ООО «Ромашка»", "romashka"),
            ("PT Bank Central Asia Tbk", "bank central asia"),
            ("トヨタ 株式会社", "トヨタ"),
            ("OTE A.E.", "ote"),
            ("Nokia Oyj", "nokia"),
            ("Firma Sp. z o.o.", "firma"),
            ("The Acme Group", "acme"),
            ("Smith & Sons Ltd", "smith and sons"),
            ("Smith and Sons", "smith and sons"),
            ("AT&T Corp", "at and t"),
            ("Co", "co"),
            ("The Company", "company"),
            ("Blue Bank 2 LLC", "blue bank 2"),
            ("", ""),
        ],
    );
}

#[test]
fn addresses_are_written_out() {
    check(
        Normaliser::Address,
        &[
            ("12 Oak St", "12 oak street"),
            ("12 Oak St.", "12 oak street"),
            ("12, Oak Street", "12 oak street"),
            ("5 N. Main Rd Apt 4", "5 north main road apartment 4"),
            ("99 Sunset Blvd", "99 sunset boulevard"),
            ("1 Park Ave #3", "1 park avenue 3"),
            ("7 Elm Ln", "7 elm lane"),
            ("7 Elm Dr", "7 elm drive"),
            ("7 Elm Ct", "7 elm court"),
            ("7 Elm Pl", "7 elm place"),
            ("Hauptstr. 5", "hauptstrasse 5"),
            ("Hauptstraße 5", "hauptstrasse 5"),
            ("Lange Str. 5", "lange strasse 5"),
            ("12 oak street", "12 oak street"),
            ("Avda. Mayor 3", "avenida mayor 3"),
            ("ул. Ленина 5", "ulica lenina 5"),
            ("12 oak st", "12 oak street"),
            ("", ""),
        ],
    );
}

#[test]
fn streets_begin_with_their_number_and_end_at_the_door() {
    check(
        Normaliser::Street,
        &[
            ("12 Oak St", "12 oak street"),
            ("12 Oak St Apt 4", "12 oak street"),
            ("12 Oak St #4", "12 oak street"),
            ("12 Oak St., 3rd Floor", "12 oak street"),
            ("Flat 2, 12 Oak Street", "12 oak street"),
            ("Suite B 12 Oak Street", "12 oak street"),
            ("Hauptstr. 5", "5 hauptstrasse"),
            ("Hauptstraße 5 a", "5a hauptstrasse"),
            ("5a Hauptstraße", "5a hauptstrasse"),
            ("42nd Street 7", "7 42nd street"),
            ("Broadway", "broadway"),
            ("", ""),
        ],
    );
}

#[test]
fn short_forms_become_full_names_where_they_stand_for_one() {
    check(
        Normaliser::FormalName,
        &[
            ("Bob Smith", "robert smith"),
            ("Smith, Bob", "robert smith"),
            ("Dr. Bill Jones", "william jones"),
            ("Robert Smith", "robert smith"),
            ("Alex Smith", "alex smith"),
            ("Xy", "xy"),
            ("", ""),
        ],
    );
    check(
        Normaliser::Initials,
        &[
            ("John Ronald Reuel Tolkien", "j r r t"),
            ("Tolkien, J.R.R.", "j r r t"),
            ("Dr. Élodie Łuk", "e l"),
            ("", ""),
        ],
    );
}

#[test]
fn letters_and_digits_only() {
    check(
        Normaliser::Alphanumeric,
        &[("SW1A 1AA", "sw1a1aa"), ("sw1a1aa", "sw1a1aa"), ("É-ß 1", "ess1"), ("--", "")],
    );
    check(Normaliser::Digits, &[("A-12 34", "1234"), ("1234", "1234"), ("x", ""), ("٣４", "34")]);
}

#[test]
fn dates_come_out_in_iso_form() {
    check(
        Normaliser::Date,
        &[
            ("2025-12-09", "2025-12-09"),
            (" 2025-12-09 ", "2025-12-09"),
            ("2025-12-09T10:00:00Z", "2025-12-09"),
            ("2025-12-09 10:00", "2025-12-09"),
            ("2025/12/09", "2025-12-09"),
            ("2025.12.9", "2025-12-09"),
            ("20251209", "2025-12-09"),
            ("09.12.2025", "2025-12-09"),
            ("9.12.2025", "2025-12-09"),
            ("12/31/2025", "2025-12-31"),
            ("31/12/2025", "2025-12-31"),
            ("31-12-2025", "2025-12-31"),
            ("03/03/2025", "2025-03-03"),
            ("03/04/2025", ""),
            ("9 December 2025", "2025-12-09"),
            ("Dec 9th, 2025", "2025-12-09"),
            ("9-Dec-2025", "2025-12-09"),
            ("2025-02-30", ""),
            ("2024-02-29", "2024-02-29"),
            ("2025-13-01", ""),
            ("0000-01-01", ""),
            ("1.1.25", ""),
            ("1733734800", ""),
            ("2025-12", ""),
            ("99999999999999999999", ""),
            ("soon", ""),
            ("", ""),
        ],
    );
}

#[test]
fn dates_that_could_be_two_are_read_as_the_name_says() {
    for (normaliser, expected) in [
        (Normaliser::Date, ["", "2025-12-31", "2025-04-03", "2025-03-03"]),
        (Normaliser::DateDmy, ["2025-04-03", "2025-12-31", "2025-04-03", "2025-03-03"]),
        (Normaliser::DateMdy, ["2025-03-04", "2025-12-31", "2025-04-03", "2025-03-03"]),
    ] {
        let texts = ["03/04/2025", "12/31/2025", "3.4.2025", "3-3-2025"];
        check(normaliser, &std::array::from_fn::<_, 4, _>(|i| (texts[i], expected[i])));
    }
    check(
        Normaliser::Date,
        &[
            ("9. Dezember 2025", "2025-12-09"),
            ("1er août 2025", "2025-08-01"),
            ("9 de diciembre de 2025", "2025-12-09"),
            ("3 mrt 2025", "2025-03-03"),
            ("3. März 2025", "2025-03-03"),
            ("the 3rd of May 2025", ""),
            ("3rd of May 2025", "2025-05-03"),
        ],
    );
}

#[test]
fn clean_text_is_borrowed() {
    for (normaliser, text) in [
        (Normaliser::None, "Any Thing "),
        (Normaliser::Text, "john smith"),
        (Normaliser::Name, "john smith"),
        (Normaliser::Name, "dr john smith"),
        (Normaliser::Email, "jane@gmail.com"),
        (Normaliser::Email, "jane+x@company.com"),
        (Normaliser::Phone, "551234567"),
        (Normaliser::Company, "acme inc"),
        (Normaliser::Address, "12 oak street"),
        (Normaliser::Alphanumeric, "sw1a1aa"),
        (Normaliser::Digits, "12345"),
        (Normaliser::Date, "2025-12-09"),
        (Normaliser::Date, "2025-12-09T10:00:00Z"),
    ] {
        assert!(matches!(normalise(normaliser, text), Cow::Borrowed(_)), "{normaliser:?} {text:?}");
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[A-Za-zÀ-ž .,'&@+-]{0,16}",
        "(mailto:|<)?[a-zA-Z.+]{0,5}@(gmail.com|GoogleMail.com|outlook.com|x.y)[.>]{0,2}",
        "[+(]{0,2}[0-9 ()x-]{0,18}",
        "[+]?(00|011|810|44|39|7|1|0)?[ ()]{0,2}[0-9 ]{0,14}",
        "((apt|#|floor|3rd|12|a|b|Oak|st|5a|flat)[ ,]{1,2}){0,6}",
        "(Smith|Jr|Bob|PhD|alex)[, ]{1,2}(Bill|Dr|Jr|Anna)[, ]{0,2}(Jr|x)?",
        "[0-9]{1,4}[-/. ][0-9]{1,2}[-/. ][0-9]{1,4}",
        "((the|dr|mr|st|n|inc|gmbh|and|md|acme|Oak|Haupt-?str)[. ]{1,2}){0,5}",
        "[ΆΈάέİıßẞﬀǅКѕЙьъщΨが각ⅷ½²´’\u{300}\u{345}\u{3099}\u{93c} a]{0,8}",
    ]
}

proptest! {
    #[test]
    fn normalising_twice_changes_nothing(text in text()) {
        for normaliser in ALL {
            let once = normalise(normaliser, &text);
            let twice = normalise(normaliser, &once);
            prop_assert_eq!(&twice, &once, "{:?}", normaliser);
        }
    }

    #[test]
    fn a_used_scratch_buffer_makes_no_difference(text in text(), before in text()) {
        let mut scratch = before;
        for normaliser in ALL {
            prop_assert_eq!(normalise_in(normaliser, &text, &mut scratch), normalise(normaliser, &text));
        }
    }
}

#[test]
fn the_examples_of_the_documentation_hold() {
    let page = include_str!("../../../../../docs/matching.md");
    let table = page.split("## Normalisers").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut tried = 0;
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [name, _, text, expected] =
            [0, 1, 2, 3].map(|at| cells[at].strip_prefix('`').unwrap_or(cells[at]));
        let code = |cell: &str| cell.strip_suffix('`').unwrap_or(cell).to_owned();
        let normaliser: Normaliser = serde_json::from_value(code(name).into()).unwrap();
        assert_eq!(normalise(normaliser, &code(text)), code(expected), "{row}");
        tried += 1;
    }
    assert!(tried >= 20, "only {tried} rows were found");
}
