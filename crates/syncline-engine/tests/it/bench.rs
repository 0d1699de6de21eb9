//! What the scenarios stand on: a folder with files and a database, and a clock that tests set.

use futures_util::future::BoxFuture;
use rusqlite::Connection;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use syncline_core::config::{SourceFile, load};
use syncline_core::plan::program::Program;
use syncline_core::plan::writes::Counters;
use syncline_engine::{Clock, Event, Options, Report, World, execute};
use syncline_store::Store;
use syncline_store::sqlite::{Options as StoreOptions, SqliteStore};
use tempfile::TempDir;
use tokio::sync::oneshot;

/// A clock that stands still until somebody waits.
pub(crate) struct ManualClock {
    now: AtomicI64,
    pub(crate) waits: Mutex<Vec<Duration>>,
    /// Whether waits never end; beats come at once then, and never otherwise.
    pub(crate) stuck: AtomicBool,
    /// Rung when the clock was looked at so many times.
    pub(crate) alarm: Mutex<Option<(u32, oneshot::Sender<()>)>>,
}

impl Clock for ManualClock {
    fn now(&self) -> i64 {
        let mut alarm = self.alarm.lock().unwrap();
        if let Some((looks, _)) = alarm.as_mut() {
            *looks -= 1;
            if *looks == 0 {
                alarm.take().unwrap().1.send(()).unwrap();
            }
        }
        // A microsecond passes with each look, so that no two things happen at once.
        self.now.fetch_add(1, Ordering::Relaxed)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        self.waits.lock().unwrap().push(duration);
        let us = i64::try_from(duration.as_micros()).unwrap();
        self.now.fetch_add(us, Ordering::Relaxed);
        self.ready_if(!self.stuck.load(Ordering::Relaxed))
    }

    fn beat(&self) -> BoxFuture<'_, ()> {
        self.ready_if(self.stuck.load(Ordering::Relaxed))
    }
}

impl ManualClock {
    fn ready_if(&self, ready: bool) -> BoxFuture<'_, ()> {
        if ready { Box::pin(std::future::ready(())) } else { Box::pin(std::future::pending()) }
    }

    /// Lets a second pass.
    pub(crate) fn pass(&self) {
        self.now.fetch_add(1_000_000, Ordering::Relaxed);
    }
}

/// A folder with a configuration, files and a database.
pub(crate) struct Bench {
    dir: TempDir,
    config: String,
    pub(crate) clock: ManualClock,
}

impl Bench {
    pub(crate) fn new(config: &str) -> Self {
        let now = AtomicI64::new(1_764_000_000_000_000);
        let clock = ManualClock {
            now,
            waits: Mutex::default(),
            stuck: AtomicBool::new(false),
            alarm: Mutex::default(),
        };
        Self { dir: TempDir::new().unwrap(), config: config.to_owned(), clock }
    }

    pub(crate) fn reconfigure(&mut self, from: &str, to: &str) {
        assert!(self.config.contains(from), "`{from}` is in the configuration");
        self.config = self.config.replace(from, to);
    }

    pub(crate) fn write(&self, name: &str, lines: &[&str]) {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(self.dir.path().join(name), text).unwrap();
    }

    pub(crate) fn append(&self, name: &str, line: &str) {
        use std::io::Write;
        let path = self.dir.path().join(name);
        let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
        writeln!(file, "{line}").unwrap();
    }

    pub(crate) fn database(&self) -> Connection {
        Connection::open(self.dir.path().join("syncline.db")).unwrap()
    }

    pub(crate) fn store(&self) -> SqliteStore {
        // Short enough that nothing is left in the log: tests look at the table.
        let options = StoreOptions { key_log_max: 7, ..StoreOptions::default() };
        SqliteStore::open(self.dir.path().join("syncline.db"), options).unwrap()
    }

    pub(crate) async fn world_on(&self, store: Arc<dyn Store>) -> World {
        let file = SourceFile { name: "syncline.yaml".into(), text: self.config.clone() };
        let loaded = load(vec![file], &|_| Err("no reference".into()), &["file"])
            .unwrap_or_else(|wrong| panic!("{wrong:?}"));
        let program = Program::compile(&loaded.config).unwrap_or_else(|wrong| panic!("{wrong:?}"));
        World::open(loaded.config, program, self.dir.path(), store, loaded.secrets.clone())
            .await
            .unwrap()
    }

    /// Runs a task in what might be a process of its own, and checks that its ledger adds up.
    pub(crate) async fn run_with(&self, task: &str, options: Options) -> Report {
        let store = Arc::new(self.store());
        let world = Arc::new(self.world_on(store.clone()).await);
        let report = execute(&world, task, &self.clock, options).await.unwrap();
        self.clock.pass();
        store.settle().await.unwrap();
        assert!(report.results.balance(), "{report:?}");
        let links: i64 = self.number("SELECT count(*) FROM link WHERE NOT deleted");
        assert_eq!(store.counts().await.unwrap().links, links.cast_unsigned());
        report
    }

    pub(crate) async fn run(&self, task: &str) -> Report {
        self.run_with(task, Options::default()).await
    }

    /// Runs a task that must end in success, and returns its counters.
    pub(crate) async fn ok(&self, task: &str) -> Counters {
        let report = self.run(task).await;
        assert_eq!((report.status.as_str(), &report.error), ("success", &None), "{report:?}");
        report.results
    }

    pub(crate) fn number(&self, sql: &str) -> i64 {
        self.database().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    pub(crate) fn lines(&self, sql: &str) -> Vec<String> {
        let conn = self.database();
        let mut statement = conn.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// The data of the live shards of a type, sorted.
    pub(crate) fn data(&self, shard_type: &str) -> Vec<String> {
        self.lines(&format!(
            "SELECT data FROM shard_whole s JOIN shard_type t ON t.id = s.type
             WHERE t.name = '{shard_type}' AND deleted_at IS NULL AND merged_into IS NULL
             ORDER BY 1"
        ))
    }

    /// Edges with and without a target.
    pub(crate) async fn edges(&self) -> (u64, u64) {
        let counts = self.store().counts().await.unwrap();
        (counts.edges_linked, counts.edges_waiting)
    }

    /// All that is known, without row numbers, ids, times and versions.
    pub(crate) fn state(&self) -> Vec<String> {
        self.lines(
            "WITH named AS (
               SELECT l.id, l.shard, l.deleted, l.image, e.connection || '/' || e.entity || '/'
                 || e.shard_type || ':' || l.external_id AS name,
                 coalesce(t.contributor, l.contributor) AS contributor,
                 coalesce(t.modified, l.modified) AS modified
               FROM link l JOIN entity e ON e.id = l.entity LEFT JOIN stamp t ON t.link = l.id
             ), cluster AS (SELECT shard, min(name) AS name FROM named GROUP BY shard)
             SELECT 'link ' || n.name || ' in ' || c.name || ' deleted ' || n.deleted || ' by '
               || coalesce(n.contributor, '-') || ' at ' || coalesce(n.modified, '-') || ' says '
               || n.image || ' of ' || s.data || ' gone '
               || (s.deleted_at IS NOT NULL)
             FROM named n JOIN cluster c ON c.shard = n.shard JOIN shard_whole s ON s.id = n.shard
             UNION ALL
             SELECT 'edge ' || n.name || ' ' || k.name || ' ' || e.connection || '/' || e.entity
               || ':' || d.target
             FROM edge d JOIN named n ON n.id = d.link JOIN edge_kind k ON k.id = d.kind
             JOIN entity e ON e.id = d.entity
             UNION ALL
             SELECT 'key ' || m.key || ' ' || n.name FROM match_key m JOIN named n ON n.id = m.link
             UNION ALL
             SELECT 'match ' || a.name || ' ' || b.name || ' ' || m.score FROM match_edge m
             JOIN named a ON a.id = m.a JOIN named b ON b.id = m.b
             UNION ALL
             SELECT 'unsettled ' || n.name FROM unsettled u JOIN named n ON n.id = u.link
             ORDER BY 1",
        )
    }

    /// Every row of every table that a run of unchanged input may not touch.
    pub(crate) fn rows(&self) -> Vec<String> {
        let mut rows = Vec::new();
        for table in
            ["shard", "link", "stamp", "match_key", "match_edge", "edge", "merge_log", "match_rule"]
                .into_iter()
                .chain(["change", "dead_letter", "unsettled", "entity", "edge_kind", "shard_type"])
        {
            let conn = self.database();
            let mut statement = conn.prepare(&format!("SELECT * FROM {table}")).unwrap();
            let width = statement.column_count();
            let mut found = statement.query([]).unwrap();
            while let Some(row) = found.next().unwrap() {
                let cells: Vec<_> = (0..width).map(|i| row.get_ref(i).unwrap()).collect();
                rows.push(format!("{table} {cells:?}"));
            }
        }
        rows
    }
}

/// Options that keep every event.
pub(crate) fn listening(options: Options) -> (Options, Arc<Mutex<Vec<Event>>>) {
    let heard: Arc<Mutex<Vec<Event>>> = Arc::default();
    let ear = heard.clone();
    let on_event: Option<syncline_engine::event::Listener> =
        Some(Arc::new(move |event: &Event| ear.lock().unwrap().push(event.clone())));
    (Options { on_event, ..options }, heard)
}
