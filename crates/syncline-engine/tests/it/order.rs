//! Neither the order of records nor the size of batches decides anything.

use crate::bench::Bench;

const CONFIG: &str = r"
connections:
  crm:
    adapter: file
    entities:
      person: { path: people.jsonl, key: id, modified: at }
shard_types:
  person:
    fields: { name: text, mail: text, phone: text, boss: text }
    matching:
      block_max: 4
      rules:
        - { name: mail, compare: [{ field: mail }] }
        - { name: phone, compare: [{ field: phone }] }
  firm: { fields: { name: text } }
conversion_schemas:
  person:
    shard_type: person
    fields:
      name: name
      mail: mail
      phone: phone
      boss: { lookup: { shard_type: person, from: boss, return: name } }
    relationships: { under: { shard_type: person, from: boss } }
    derived: [{ shard_type: firm, key: '{{ firm }}', normalise: company, fields: { name: firm } }]
sync_tasks:
  people: { connection: crm, entity: person, conversion_schema: person, mode: full, batch: { size: 3 } }
";

#[tokio::test]
async fn any_order_and_any_batches_give_the_same() {
    let mut seed = 7_u64;
    let mut next = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % below
    };
    let mut lines: Vec<String> = (0..40)
        .map(|_| {
            let (id, mail, phone, boss) = (next(34), next(12), next(12), next(40));
            let (firm, case, day) = (next(5), next(2), next(28) + 1);
            let firm = if case == 0 { format!("Firm {firm}") } else { format!("FIRM {firm} Inc") };
            format!(
                r#"{{"id":"{id}","name":"N{day}","mail":"{mail}","phone":"{phone}","boss":"{boss}","firm":"{firm}","at":"2025-01-{day:02}T00:00:{:02}Z"}}"#,
                next(60)
            )
        })
        .collect();
    let mut expected = None;
    for round in 0..4 {
        for size in [1, 3, 1000] {
            let mut bench = Bench::new(CONFIG);
            bench.reconfigure("size: 3", &format!("size: {size}"));
            bench.write("people.jsonl", &lines.iter().map(String::as_str).collect::<Vec<_>>());
            bench.ok("people").await;
            let state = bench.state();
            let expected = expected.get_or_insert_with(|| state.clone());
            pretty(&state, expected, &format!("round {round} by {size}"));
            bench.ok("people").await;
            pretty(&bench.state(), expected, &format!("round {round} by {size}, again"));
        }
        for last in (1..lines.len()).rev() {
            let other = usize::try_from(next(last as u64 + 1)).unwrap();
            lines.swap(last, other);
        }
    }
}

/// Fails with what is different only.
fn pretty(found: &[String], expected: &[String], when: &str) {
    let only = |a: &[String], b: &[String]| -> Vec<String> {
        a.iter().filter(|line| !b.contains(line)).cloned().collect()
    };
    let (more, less) = (only(found, expected), only(expected, found));
    assert!(more.is_empty() && less.is_empty(), "{when}: {more:#?}\ninstead of {less:#?}");
}
