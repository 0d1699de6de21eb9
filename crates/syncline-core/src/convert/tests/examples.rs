//! The specification's own examples.

use super::*;

#[test]
fn example_1_a_name_becomes_first_and_last_name() {
    let setup = Setup::new(
        "{ contact: { fields: { first_name: text, last_name: text, email: text } } }",
        r#"
shard_type: contact
fields:
  first_name: { from: name, transform: [ { split: { on: " ", take: first } } ] }
  last_name: { from: name, transform: [ { split: { on: " ", take: rest } } ] }
  email: { from: email, transform: [trim, lowercase], required: true, validate: { format: email } }
"#,
    );
    let converter = setup.converter();
    let record = r#"{"id":1,"name":"John Doe","email":" John@Example.com "}"#;
    assert_eq!(convert_one(&converter, record).external_id, "1");
    assert_eq!(
        shown(&converter, record),
        r#"{"first_name":"John","last_name":"Doe","email":"john@example.com"}"#
    );
}

#[test]
fn example_2_an_account_becomes_further_shards() {
    let setup = Setup::new(
        r"
account: { fields: { name: text } }
company_profile: { fields: { industry: text, company_size: text } }
industry_classification: { fields: { industry: text, sector: text } }
",
        r#"
shard_type: account
fields: { name: name }
derived:
  - shard_type: company_profile
    when: { field: industry, op: exists }
    fields:
      industry: industry
      company_size: { when: [ { if: "employees >= 1000", then: enterprise } ], else: small }
  - shard_type: industry_classification
    when: { field: industry, op: in, value: [Technology, Finance] }
    key: "${industry}"
    normalise: text
    relationship: classified_as
    fields:
      industry: industry
      sector: { from: industry, transform: { map: { values: { Technology: Software } } } }
"#,
    );
    let converter = setup.converter();
    let made = |record: &str| {
        let mapped = mapped(convert_one(&converter, record));
        let show = |image: &DerivedImage| {
            let spec = &converter.derived()[usize::from(image.derived)];
            let json = spec.layout.to_json(&image.image);
            format!("{} {} {json}", spec.relationship, image.key)
        };
        mapped.derived.iter().map(show).collect::<Vec<_>>()
    };
    assert_eq!(
        made(r#"{"id":100,"name":"Acme Corp","industry":"Technology","employees":5000}"#),
        [
            r#"company_profile 100 {"industry":"Technology","company_size":"enterprise"}"#,
            r#"classified_as technology {"industry":"Technology","sector":"Software"}"#,
        ]
    );
    assert_eq!(
        made(r#"{"id":101,"name":"Farm","industry":"Agriculture","employees":5}"#),
        [r#"company_profile 101 {"industry":"Agriculture","company_size":"small"}"#]
    );
    assert!(made(r#"{"id":102,"name":"Unknown"}"#).is_empty());
}
