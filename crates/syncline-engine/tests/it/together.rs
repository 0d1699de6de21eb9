//! Tasks that run at once on one store: each one's plans go stale through the other's, and are made again.

use crate::bench::Bench;
use std::sync::Arc;
use syncline_engine::{Options, execute};

const CONFIG: &str = r"
connections:
  crm:
    adapter: file
    entities:
      person: { path: crm.jsonl, key: id, modified: at }
  shop:
    adapter: file
    entities:
      buyer: { path: shop.jsonl, key: id, modified: at }
shard_types:
  person:
    fields: { name: text, mail: text, city: text }
    matching:
      block_max: 6
      rules:
        - { name: mail, compare: [{ field: mail }] }
        - { name: name, block: [city], compare: [{ field: name, by: levenshtein }], threshold: 0.8 }
  firm: { fields: { name: text } }
conversion_schemas:
  person:
    shard_type: person
    fields: { name: name, mail: mail, city: city }
    derived: [{ shard_type: firm, key: '{{ firm }}', relationship: works_at, fields: { name: firm } }]
sync_tasks:
  crm: { connection: crm, entity: person, conversion_schema: person, mode: full, batch: { size: 4 } }
  shop: { connection: shop, entity: buyer, conversion_schema: person, mode: full, batch: { size: 3 } }
";

/// Two files whose records are about the same people and firms, now and then twice in one.
fn prepared(seed: u64) -> Bench {
    let mut seed = seed;
    let mut next = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % below
    };
    let bench = Bench::new(CONFIG);
    for file in ["crm.jsonl", "shop.jsonl"] {
        let lines: Vec<String> = (0..60)
            .map(|_| {
                let (id, mail, name, city) = (next(50), next(25), next(30), next(8));
                let (firm, minute, second) = (next(6), next(60), next(60));
                format!(
                    r#"{{"id":"{id}","name":"Name {name}","mail":"{mail}@x.de","city":"c{city}","firm":"f{firm}","at":"2025-01-01T00:{minute:02}:{second:02}Z"}}"#
                )
            })
            .collect();
        bench.write(file, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    }
    bench
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tasks_at_once_come_to_the_same_as_one_after_the_other() {
    for seed in 0..6 {
        let apart = prepared(seed);
        let alone = [apart.ok("crm").await, apart.ok("shop").await];
        let bench = prepared(seed);
        let store = Arc::new(bench.store());
        let world = Arc::new(bench.world_on(store.clone()).await);
        for round in 0..2 {
            let run = |task, seed| {
                execute(&world, task, &bench.clock, Options { seed, ..Options::default() })
            };
            let (crm, shop) = tokio::join!(run("crm", 2 * round), run("shop", 2 * round + 1));
            for (report, alone) in [crm.unwrap(), shop.unwrap()].iter().zip(&alone) {
                let name = format!("seed {seed}, round {round}, {}", report.task);
                assert_eq!((report.status.as_str(), &report.error), ("success", &None), "{name}");
                assert_eq!(report.results.fetched, alone.fetched, "{name}");
                assert!(report.results.balance(), "{name}: {report:?}");
            }
        }
        drop((world, store));
        assert_eq!(bench.state(), apart.state(), "seed {seed}");
    }
}
