//! Loads a store as a first run of a million records does, and says what it cost.
//!
//! `cargo run --release -p syncline-store --example load -- FILE [RECORDS] [GROUP_MS] [CACHE_MIB]`

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use syncline_core::plan::rows::{
    EdgeTarget, EntityId, EntityName, LinkId, LinkRow, ShardId, ShardRow,
};
use syncline_core::plan::view::Need;
use syncline_core::plan::writes::{Checkpoint, Plan};
use syncline_store::execution::{Begin, Finish, Worker};
use syncline_store::sqlite::{Options, SqliteStore};
use syncline_store::{Catalog, Ids, Store, StoreError};

const BATCH: usize = 1_000;

struct Load {
    store: SqliteStore,
    ids: Ids,
    state: u64,
    keys: Vec<u64>,
    spent: [Duration; 2],
}

impl Load {
    fn random(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A key: one in five is one that another record has.
    fn key(&mut self) -> u64 {
        let random = self.random();
        if random.is_multiple_of(5) && !self.keys.is_empty() {
            return self.keys[(random >> 8) as usize % self.keys.len()];
        }
        if random.is_multiple_of(3) {
            self.keys.push(random);
        }
        random
    }

    async fn batch(&mut self, plan: Plan, first: usize) -> Result<(), StoreError> {
        let entity = self.ids.entities[0];
        let mut keys: Vec<(u64, usize)> = Vec::new();
        for record in 0..BATCH {
            for _ in 0..2 + usize::from(record % 20 < 13) {
                keys.push((self.key(), record));
            }
        }
        let need = Need {
            records: (first..first + BATCH).map(|n| (entity, external_id(n))).collect(),
            keys: keys.iter().map(|(key, _)| *key).collect(),
            members_max: 50,
            ..Need::default()
        };
        let start = Instant::now();
        let found = self.store.read(need).await?;
        self.spent[0] += start.elapsed();
        let mut members: Vec<LinkId> = found.members.iter().map(|(_, link)| *link).collect();
        members.truncate(200);
        let plan = self.plan(plan, &keys, first, found.epoch, (found.next_link, found.next_shard));
        let start = Instant::now();
        self.store.read(Need { links: members, ..Need::default() }).await?;
        self.spent[0] += start.elapsed();
        let start = Instant::now();
        self.store.commit(plan).await?;
        self.spent[1] += start.elapsed();
        Ok(())
    }

    fn plan(
        &mut self,
        mut plan: Plan,
        keys: &[(u64, usize)],
        first: usize,
        epoch: u64,
        next: (i64, i64),
    ) -> Plan {
        plan.epoch = epoch;
        for record in 0..BATCH {
            let link = LinkId(next.0 + record as i64);
            let mut shard = ShardId(next.1 + plan.shards_new.len() as i64);
            if record % 5 == 0 && next.1 > 1 {
                shard = ShardId(1 + (self.random() % (next.1 as u64)) as i64);
            } else {
                plan.shards_new.push(self.shard(shard, plan.execution));
            }
            plan.links_new.push(LinkRow {
                id: link,
                entity: self.ids.entities[0],
                external_id: external_id(first + record),
                shard,
                image: (record % 5 == 0).then(|| data(first)),
                hash: u128::from(self.random()) << 64 | u128::from(self.random()),
                modified: Some(1_700_000_000_000_000),
                observed: 1_800_000_000_000_000,
                execution: plan.execution,
                contributor: None,
                deleted: false,
            });
            let target = format!("company-{}", self.random() % 200_000).into();
            let edge = EdgeTarget { kind: self.ids.kinds[0], entity: self.ids.entities[1], target };
            plan.edges.push((link, vec![edge]));
        }
        let link = |record: usize| LinkId(next.0 + record as i64);
        plan.keys_added = keys.iter().map(|&(key, record)| (key, link(record))).collect();
        plan.keys_added.sort_unstable();
        plan.checkpoint =
            Some(Checkpoint { seen: vec![255; (first + BATCH) / 8], ..Checkpoint::default() });
        plan
    }

    fn shard(&mut self, id: ShardId, created: syncline_core::plan::rows::ExecutionId) -> ShardRow {
        // As UUIDv7 are: the time first.
        let uuid = (id.0 as u128) << 70 | u128::from(self.random());
        ShardRow {
            id,
            uuid,
            shard_type: self.ids.shard_types[0],
            data: data(id.0 as usize),
            version: 1,
            created,
            deleted_at: None,
            merged_into: None,
        }
    }
}

fn external_id(n: usize) -> compact_str::CompactString {
    // In no order, as ids that are hashes or names are.
    if std::env::var_os("RANDOM_IDS").is_some() {
        return format!("{:016x}", (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)).into();
    }
    format!("contact-{n:08}").into()
}

fn data(n: usize) -> Arc<str> {
    format!(r#"{{"email":"someone.{n}@example.com","pad":"{}"}}"#, "x".repeat(250)).into()
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let ticks: Vec<f64> = stat
        .split_ascii_whitespace()
        .skip(13)
        .take(2)
        .map(|field| field.parse().expect("a number"))
        .collect();
    ticks.iter().sum::<f64>() / 100.0
}

fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM")).expect("Linux");
    line.split_ascii_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024
}

#[expect(clippy::print_stdout, reason = "an example that measures, and says what it found")]
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StoreError> {
    let mut args = std::env::args().skip(1);
    let path = PathBuf::from(args.next().unwrap_or_else(|| ":memory:".to_owned()));
    let mut number = |default| args.next().and_then(|arg| arg.parse().ok()).unwrap_or(default);
    let records: usize = number(1_000_000);
    let mut options = Options::default();
    options.group_age = Duration::from_millis(number(1_000) as u64);
    options.cache_kib = number(96) as u32 * 1024;
    options.wal_pages = number(options.wal_pages as usize) as u32;
    let store = SqliteStore::open(&path, options)?;
    let entity = |entity: &str| EntityName {
        connection: "crm".into(),
        entity: entity.into(),
        shard_type: "contact".into(),
    };
    let catalog = Catalog {
        shard_types: vec!["contact".into()],
        entities: vec![entity("contact"), entity("contact#company")],
        kinds: vec!["works_at".into()],
    };
    let ids = store.register(catalog).await?;
    let mut load = Load {
        store,
        ids,
        state: 88_172_645_463_325_252,
        keys: Vec::new(),
        spent: Default::default(),
    };
    let begin =
        Begin { task: "load".into(), worker: Worker::current(), uuid: 1, ..Begin::default() };
    let begun = load.store.begin(begin).await?;
    let (start, own) = (Instant::now(), cpu_seconds());
    for first in (0..records).step_by(BATCH) {
        load.batch(Plan { execution: begun.execution, ..Plan::default() }, first).await?;
    }
    let loaded = cpu_seconds();
    println!("loaded     {:6.2} CPU-s {:6.2} s", loaded - own, start.elapsed().as_secs_f64());
    println!(
        "  read     {:6.2} s, commit {:6.2} s",
        load.spent[0].as_secs_f64(),
        load.spent[1].as_secs_f64()
    );
    load.store.settle().await?;
    println!("settled    {:6.2} CPU-s", cpu_seconds() - own);
    let finish =
        Finish { execution: begun.execution, status: "success".into(), ..Finish::default() };
    load.store.finish(finish).await?;
    println!("finished   {:6.2} CPU-s", cpu_seconds() - own);
    let Load { store, ids, .. } = load;
    drop(store);
    println!(
        "closed     {:6.2} CPU-s {:6.2} s",
        cpu_seconds() - own,
        start.elapsed().as_secs_f64()
    );
    println!("peak       {:6} MiB", peak_mib());
    again(&path, ids, records).await
}

/// The reads of a second run, in which nothing has changed.
#[expect(clippy::print_stdout, reason = "an example that measures, and says what it found")]
async fn again(path: &std::path::Path, ids: Ids, records: usize) -> Result<(), StoreError> {
    let store = SqliteStore::open(path, Options::default())?;
    let (start, own) = (Instant::now(), cpu_seconds());
    for first in (0..records).step_by(BATCH) {
        let record = |n| (ids.entities[0], external_id(n));
        let records = (first..first + BATCH).map(record).collect::<Vec<(EntityId, _)>>();
        store.read(Need { records, ..Need::default() }).await?;
    }
    println!(
        "read again {:6.2} CPU-s {:6.2} s",
        cpu_seconds() - own,
        start.elapsed().as_secs_f64()
    );
    Ok(())
}
