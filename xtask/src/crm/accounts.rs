//! The CRM's accounts: companies that contacts work for.

use crate::rng::Rng;
use crate::words::{Words, slug};
use serde_json::{Value, json};

/// How many accounts the CRM has.
const COUNT: usize = 220;
/// Accounts that hand-written contacts work for come first.
pub(super) const NAMED: [(&str, &str, &str); 6] = [
    ("Hansa Optik GmbH", "Hamburg", "DE"),
    ("Alster Logistik GmbH & Co. KG", "Hamburg", "DE"),
    ("Nordlicht Medien GmbH", "Lübeck", "DE"),
    ("Whitfield & Sons Ltd", "Leeds", "GB"),
    ("Torrefazione Rossi S.r.l.", "Torino", "IT"),
    ("Elbe Maschinenbau AG", "Hamburg", "DE"),
];
/// Positions of three accounts that are each other's parents, in a circle.
const CIRCLE: [usize; 3] = [40, 87, 133];
/// Positions of accounts whose parent is not in the export.
const ORPHANS: [usize; 2] = [61, 152];
/// Positions of accounts with a revenue that is no number.
const ODD_REVENUES: [(usize, &str); 2] = [(75, "n/a"), (118, "1.2M")];
/// The last accounts are second entries of earlier ones, under another spelling.
const DOUBLES: [usize; 3] = [1, 24, 56];

const INDUSTRIES: [&str; 9] = [
    "Technology",
    "Manufacturing",
    "Retail",
    "Finance",
    "Healthcare",
    "Logistics",
    "Energy",
    "Food & Beverage",
    "Media",
];

/// A company as the CRM has it.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) city: String,
    pub(super) country: String,
    industry: Option<&'static str>,
    revenue: Value,
    employees: Option<usize>,
    parent: Option<usize>,
    modified: String,
}

impl Account {
    /// The host of its web site and mail; nobody can own one below `.example`.
    pub(super) fn host(&self) -> String {
        let words = self.name.split(' ').take(2);
        format!("{}.example", slug(&words.collect::<String>()))
    }
}

/// The id of the account at `position`; there may be none.
pub(super) fn id(position: usize) -> String {
    format!("0015g0000{:06}", 1001 + position)
}

pub(super) fn make(words: &Words, rng: &mut Rng) -> Vec<Account> {
    let mut accounts: Vec<Account> = NAMED
        .iter()
        .map(|(name, city, country)| account((*name).to_owned(), city, country, rng))
        .collect();
    while accounts.len() < COUNT - DOUBLES.len() {
        let (city, country, forms) = place(rng);
        let number = accounts.len() * 17;
        let name: Vec<String> =
            words.company(number).split(' ').take(2).map(str::to_owned).collect();
        let form = rng.pick(forms);
        accounts.push(account(format!("{} {form}", name.join(" ")), city, country, rng));
    }
    for position in DOUBLES {
        let mut double = accounts[position].clone();
        let kept = double.name.split(' ').take(2).collect::<Vec<_>>().join(" ");
        double.name = if position == 24 { kept.to_uppercase() } else { kept };
        double.modified = modified(rng);
        double.industry = None;
        accounts.push(double);
    }
    relate(&mut accounts, rng);
    accounts
}

fn place(rng: &mut Rng) -> (&'static str, &'static str, &'static [&'static str]) {
    let german: &[&str] = &["GmbH", "GmbH", "GmbH & Co. KG", "AG", "e.K."];
    match rng.below(20) {
        0..4 => ("Hamburg", "DE", german),
        4..7 => ("Berlin", "DE", german),
        7..9 => ("München", "DE", german),
        9..11 => ("Köln", "DE", german),
        11 => ("Nürnberg", "DE", german),
        12 => ("Wien", "AT", &["GmbH", "AG"]),
        13 => ("Zürich", "CH", &["AG", "GmbH"]),
        14..16 => ("London", "GB", &["Ltd", "plc"]),
        16 => ("Leeds", "GB", &["Ltd"]),
        17 => ("Paris", "FR", &["SARL", "SA"]),
        18 => ("Milano", "IT", &["S.r.l.", "S.p.A."]),
        _ => ("Utrecht", "NL", &["B.V."]),
    }
}

fn account(name: String, city: &str, country: &str, rng: &mut Rng) -> Account {
    let employees = 3 + rng.below_skewed(4000);
    let revenue = employees * (60 + rng.below(120)) * 1000;
    Account {
        name,
        city: city.to_owned(),
        country: country.to_owned(),
        industry: rng.chance(0.85).then(|| *rng.pick(&INDUSTRIES)),
        revenue: if rng.chance(0.8) { json!(revenue) } else { Value::Null },
        employees: rng.chance(0.9).then_some(employees),
        parent: None,
        modified: modified(rng),
    }
}

fn relate(accounts: &mut [Account], rng: &mut Rng) {
    for position in 10..accounts.len() - DOUBLES.len() {
        if rng.chance(0.15) {
            // Half of the parents come later in the file than their children.
            let parent = (position + 1 + rng.below(90)) % (COUNT - DOUBLES.len());
            let points_back = accounts[parent].parent.is_some();
            accounts[position].parent = (!points_back).then_some(parent);
        }
    }
    for (place, position) in CIRCLE.into_iter().enumerate() {
        accounts[position].parent = Some(CIRCLE[(place + 1) % CIRCLE.len()]);
    }
    for position in ORPHANS {
        accounts[position].parent = Some(COUNT + 500 + position);
    }
    for (position, revenue) in ODD_REVENUES {
        accounts[position].revenue = json!(revenue);
    }
}

/// A moment of 2024 or 2025 as the CRM writes it.
pub(super) fn modified(rng: &mut Rng) -> String {
    let (year, month, day) = (2024 + rng.below(2), 1 + rng.below(12), 1 + rng.below(28));
    let (hour, minute, second) = (6 + rng.below(14), rng.below(60), rng.below(60));
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.000Z")
}

/// The accounts as JSON Lines.
pub(super) fn file(accounts: &[Account]) -> Vec<u8> {
    let mut out = String::new();
    for (position, account) in accounts.iter().enumerate() {
        let object = json!({
            "Id": id(position),
            "Name": account.name,
            "Industry": account.industry,
            "AnnualRevenue": account.revenue,
            "NumberOfEmployees": account.employees,
            "BillingCity": account.city,
            "BillingCountry": account.country,
            "Website": format!("https://www.{}", account.host()),
            "ParentId": account.parent.map(id),
            "LastModifiedDate": account.modified,
        });
        out.push_str(&format!("{object}\n"));
    }
    out.into_bytes()
}
