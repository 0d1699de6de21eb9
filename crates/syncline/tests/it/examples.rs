//! The specification's examples, end to end through the library.

use crate::project::Project;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use syncline::{OpenOptions, RunOptions, Syncline};
use syncline_store::query::ShardFilter;

/// What a store holds: the shards by type, the edges as (relationship, from, to), the links of each shard.
#[derive(Debug, Default)]
struct Held {
    shards: BTreeMap<String, Vec<Value>>,
    edges: Vec<(String, Value, Value)>,
    records: Vec<(Value, Vec<String>)>,
}

async fn run(project: &Project) -> Held {
    let sync = Syncline::open(project.path("."), OpenOptions::default()).await.unwrap();
    for report in sync.run(None, RunOptions::default()).await.unwrap() {
        assert_eq!(report.status, "success", "{report:?}");
    }
    let store = sync.store();
    let filter = ShardFilter { limit: 100, ..ShardFilter::default() };
    let rows = store.shards(filter).await.unwrap();
    let data: BTreeMap<_, Value> =
        rows.iter().map(|row| (row.id, serde_json::from_str(&row.data).unwrap())).collect();
    let mut held = Held::default();
    for row in &rows {
        let shard_type = sync.world().shard_types[&row.shard_type].clone();
        held.shards.entry(shard_type).or_default().push(data[&row.id].clone());
        let links = store.links_of(vec![row.id]).await.unwrap();
        let ids = links.iter().map(|link| link.external_id.to_string()).collect();
        held.records.push((data[&row.id].clone(), ids));
        for edge in store.edges_from(links.iter().map(|link| link.id).collect()).await.unwrap() {
            let target = data[&edge.target_shard.unwrap()].clone();
            let kind = sync.world().kinds[&edge.kind].clone();
            held.edges.push((kind, data[&edge.shard].clone(), target));
        }
    }
    held.edges.sort_by(|a, b| a.0.cmp(&b.0));
    held
}

#[tokio::test]
async fn example_1_a_contact_becomes_one_shard_with_its_name_split() {
    let project = Project::new(&[
        ("contacts.jsonl", "{\"id\":1,\"name\":\"John Doe\",\"email\":\"john@example.com\"}\n"),
        (
            "syncline.yaml",
            r#"
connections:
  salesforce:
    adapter: file
    entities: { Contact: { path: contacts.jsonl, key: id } }
shard_types:
  contact:
    fields: { first_name: text, last_name: text, email: text }
    matching: { rules: [{ name: e-mail, compare: [{ field: email }] }] }
conversion_schemas:
  contact:
    shard_type: contact
    fields:
      first_name: { from: name, transform: { split: { on: " ", take: first } } }
      last_name: { from: name, transform: { split: { on: " ", take: last } } }
      email: email
sync_tasks:
  contacts: { connection: salesforce, entity: Contact, conversion_schema: contact }
"#,
        ),
    ]);
    let held = run(&project).await;
    let john = json!({ "first_name": "John", "last_name": "Doe", "email": "john@example.com" });
    assert_eq!(held.shards, BTreeMap::from([("contact".to_owned(), vec![john.clone()])]));
    assert_eq!(held.records, [(john, vec!["1".to_owned()])]);
}

const ACCOUNTS: &str = r#"
connections:
  salesforce:
    adapter: file
    entities: { Account: { path: accounts.jsonl, key: id } }
shard_types:
  account: { fields: { name: text } }
  company_profile: { fields: { industry: text, company_size: text } }
  industry_classification: { fields: { industry: text, sector: text } }
conversion_schemas:
  account:
    shard_type: account
    fields: { name: name }
    derived:
      - shard_type: company_profile
        when: { field: industry, op: is_not_null }
        fields:
          industry: industry
          company_size:
            when: [{ if: "employees >= 1000", then: enterprise }]
            else: small
      - shard_type: industry_classification
        when: { field: industry, op: in, value: [Technology, Finance] }
        fields:
          industry: industry
          sector: sector
sync_tasks:
  accounts: { connection: salesforce, entity: Account, conversion_schema: account }
"#;

#[tokio::test]
async fn example_2_an_account_makes_its_derived_shards_where_their_conditions_hold() {
    let accounts = concat!(
        r#"{"id":100,"name":"Acme Corp","industry":"Technology","sector":"Software","employees":5000}"#,
        "\n",
        r#"{"id":101,"name":"Farm","industry":"Agriculture","sector":"Grain","employees":5}"#,
        "\n",
        r#"{"id":102,"name":"Nobody","industry":null,"employees":1}"#,
        "\n",
    );
    let project = Project::new(&[("accounts.jsonl", accounts), ("syncline.yaml", ACCOUNTS)]);
    let held = run(&project).await;
    let (acme, farm) = (json!({ "name": "Acme Corp" }), json!({ "name": "Farm" }));
    let acme_profile = json!({ "industry": "Technology", "company_size": "enterprise" });
    let farm_profile = json!({ "industry": "Agriculture", "company_size": "small" });
    let class = json!({ "industry": "Technology", "sector": "Software" });
    let mut shards = held.shards.clone();
    for list in shards.values_mut() {
        list.sort_by_key(Value::to_string);
    }
    assert_eq!(shards["account"], [acme.clone(), farm.clone(), json!({ "name": "Nobody" })]);
    assert_eq!(shards["company_profile"], [farm_profile.clone(), acme_profile.clone()]);
    assert_eq!(shards["industry_classification"], std::slice::from_ref(&class));
    let edge = |kind: &str, from: &Value, to: &Value| (kind.to_owned(), from.clone(), to.clone());
    let mut edges = held.edges.clone();
    edges.sort_by_key(|(kind, from, _)| (kind.clone(), from.to_string()));
    assert_eq!(
        edges,
        [
            edge("company_profile", &acme, &acme_profile),
            edge("company_profile", &farm, &farm_profile),
            edge("industry_classification", &acme, &class),
        ]
    );
}

#[tokio::test]
async fn example_3_duplicates_become_one_shard_with_the_newest_values() {
    let contacts = concat!(
        r#"{"id":10,"email":"jane@company.com","name":"Jane Smith","phone":"1","at":"2025-01-01T00:00:00Z"}"#,
        "\n",
        r#"{"id":20,"email":"jane@company.com","name":"Jane M.","title":"CTO","at":"2025-02-01T00:00:00Z"}"#,
        "\n",
        r#"{"id":50,"email":"jane@company.com","name":"Jane Smith","at":"2025-03-01T00:00:00Z"}"#,
        "\n",
    );
    let config = r#"
connections:
  salesforce:
    adapter: file
    entities: { Contact: { path: contacts.jsonl, key: id, modified: at } }
shard_types:
  contact:
    fields: { email: text, name: text, phone: text, title: text }
    matching:
      merge: merge_fields
      rules:
        - name: e-mail and name
          block: [email]
          compare:
            - { field: email, weight: 0.7 }
            - { field: name, by: jaro_winkler, weight: 0.3 }
          threshold: 0.8
conversion_schemas:
  contact:
    shard_type: contact
    fields: { email: email, name: name, phone: phone, title: title }
sync_tasks:
  contacts: { connection: salesforce, entity: Contact, conversion_schema: contact, batch: { size: 1 } }
"#;
    let project = Project::new(&[("contacts.jsonl", contacts), ("syncline.yaml", config)]);
    let held = run(&project).await;
    let jane =
        json!({ "email": "jane@company.com", "name": "Jane Smith", "phone": "1", "title": "CTO" });
    assert_eq!(held.shards["contact"], std::slice::from_ref(&jane));
    let ids = ["10", "20", "50"].map(str::to_owned).to_vec();
    assert_eq!(held.records, [(jane, ids)]);
}
