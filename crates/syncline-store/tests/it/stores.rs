//! The stores under test, and short ways to write rows.

use std::sync::Arc;
use std::time::Duration;
use syncline_core::matching::Zone;
use syncline_core::plan::rows::{
    EdgeTarget, EntityId, EntityName, ExecutionId, KindId, LinkId, LinkRow, MatchEdge, RuleId,
    RuleName, ShardId, ShardRow, TypeId, field_key,
};
use syncline_core::plan::view::{Found, Need};
use syncline_core::plan::writes::Plan;
use syncline_store::execution::{Begin, Begun, Worker};
use syncline_store::overlay::OverlayStore;
use syncline_store::sqlite::{Options, SqliteStore};
use syncline_store::{Catalog, Ids, Store};
use tempfile::TempDir;

/// A store, and the folder that it lives in.
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) name: &'static str,
    _folder: TempDir,
}

/// Options under which a lock is not waited for long, and groups last until they are settled.
pub(crate) fn options() -> Options {
    let long = Duration::from_secs(600);
    // Small, so that keys are found in the log and in the table.
    Options { busy_ms: 20, group_age: long, idle: long, key_log_max: 3, ..Options::default() }
}

pub(crate) fn sqlite(folder: &TempDir) -> SqliteStore {
    SqliteStore::open(folder.path().join("s.db"), options()).unwrap()
}

/// One of each kind of store, empty.
pub(crate) fn all() -> Vec<Opened> {
    let folder = || TempDir::new().unwrap();
    let memory: Arc<dyn Store> = Arc::new(SqliteStore::open(":memory:", options()).unwrap());
    let (on_disk, below) = (folder(), folder());
    let file: Arc<dyn Store> = Arc::new(sqlite(&on_disk));
    let over: Arc<dyn Store> = Arc::new(OverlayStore::over(Arc::new(sqlite(&below))));
    let empty: Arc<dyn Store> = Arc::new(OverlayStore::empty());
    let opened = |name, store, folder| Opened { store, name, _folder: folder };
    vec![
        opened("sqlite in memory", memory, folder()),
        opened("sqlite file", file, on_disk),
        opened("overlay over sqlite", over, below),
        opened("overlay over nothing", empty, folder()),
    ]
}

/// The names that the tests use: entity 1 and 2 are contacts' (crm, shop), 3 is the companies of `crm`,
/// 4 the field `email` of contacts.
pub(crate) fn catalog() -> Catalog {
    let name = |connection: &str, entity: &str, shard_type: &str| EntityName {
        connection: connection.into(),
        entity: entity.into(),
        shard_type: shard_type.into(),
    };
    Catalog {
        shard_types: vec!["contact".into(), "company".into()],
        entities: vec![
            name("crm", "contact", "contact"),
            name("shop", "customer", "contact"),
            name("crm", "contact#company", "company"),
            name("", "email", "contact"),
        ],
        kinds: vec!["works_at".into(), "knows".into()],
        rules: vec![RuleName { shard_type: "contact".into(), rule: "email".into() }],
    }
}

pub(crate) const CRM: EntityId = EntityId(1);
pub(crate) const COMPANY: EntityId = EntityId(3);
pub(crate) const EMAIL: EntityId = EntityId(4);

pub(crate) async fn start(store: &dyn Store) -> (Ids, Begun) {
    let ids = store.register(catalog()).await.unwrap();
    (ids, store.begin(begin("t", 1)).await.unwrap())
}

pub(crate) fn begin(task: &str, uuid: u128) -> Begin {
    Begin {
        task: task.into(),
        trigger: "manual".into(),
        worker: Worker::current(),
        now: 1_000_000,
        uuid,
        fingerprint: "f".into(),
    }
}

/// A worker on this machine whose process is gone.
pub(crate) fn dead() -> Worker {
    Worker { pid: u32::MAX, ..Worker::current() }
}

pub(crate) fn shard(id: i64, data: &str) -> ShardRow {
    ShardRow {
        id: ShardId(id),
        uuid: (id as u128) << 120 | 7,
        shard_type: TypeId(1),
        data: data.into(),
        said_by: None,
        version: 1,
        created: ExecutionId(1),
        deleted_at: None,
        merged_into: None,
    }
}

pub(crate) fn link(id: i64, entity: EntityId, external_id: &str, shard: i64) -> LinkRow {
    LinkRow {
        id: LinkId(id),
        entity,
        external_id: external_id.into(),
        shard: ShardId(shard),
        image: format!(r#"{{"own":{id}}}"#).into(),
        hash: u128::MAX - id as u128,
        modified: (id % 3 == 0).then_some(-5),
        observed: 9,
        execution: ExecutionId(1),
        contributor: (id % 2 == 1).then(|| "c".into()),
        deleted: false,
    }
}

pub(crate) fn pair(a: i64, b: i64, score: f32) -> MatchEdge {
    let (rule, zone) = (RuleId(2), Zone::Match);
    MatchEdge { a: LinkId(a), b: LinkId(b), score, rule, zone }
}

/// A pair that a person is asked about.
pub(crate) fn asked(a: i64, b: i64, score: f32) -> MatchEdge {
    MatchEdge { zone: Zone::Review, ..pair(a, b, score) }
}

pub(crate) fn edge(kind: i64, entity: EntityId, target: &str) -> EdgeTarget {
    EdgeTarget { kind: KindId(kind), entity, target: target.into() }
}

pub(crate) fn email_key(value: &str) -> u64 {
    field_key("contact", "email", value).unwrap()
}

/// Commits `plan` as made from what stands now.
pub(crate) async fn commit(store: &dyn Store, execution: ExecutionId, plan: Plan) {
    let epoch = store.read(Need::default()).await.unwrap().epoch;
    store.commit(Box::new(Plan { execution, epoch, ..plan })).await.unwrap();
}

/// What `need` finds, without the names of states, which differ between stores.
pub(crate) async fn read(store: &dyn Store, need: Need) -> Found {
    Found { epoch: 0, ..store.read(need).await.unwrap() }
}
