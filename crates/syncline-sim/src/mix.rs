//! What the systems of some seeds are like, and the configuration over them, which is compiled once for all of them.

use crate::random::Random;
use crate::remote::{Remote, Traits};
use std::path::Path;
use std::sync::Arc;
use syncline_adapters::write::{CreateGuard, UpdateGuard};
use syncline_adapters::{Adapter, AdapterError};
use syncline_core::config::model::{Connection, EntitySettings};
use syncline_core::config::{SourceFile, load};
use syncline_core::plan::program::Program;
use syncline_engine::World;
use syncline_store::Store;
use syncline_store::overlay::OverlayStore;

/// How many seeds in a row share a mix: chance, people and faults differ among them.
pub const SEEDS: u64 = 32;

/// How far incremental reads look back, in seconds: new records may stay hidden for 20.
pub const LOOK_BACK_S: i64 = 25;

/// Systems of a kind, and a configuration over them.
pub struct Mix {
    /// By its number all of it is decided.
    pub number: u64,
    /// What each system is like.
    pub traits: Vec<Traits>,
    /// What decides between changes.
    pub strategy: &'static str,
    /// Whether deletions propagate.
    pub propagates: bool,
    /// Whether runs read what is new only.
    pub incremental: bool,
    /// The configuration.
    pub text: String,
    world: Arc<World>,
}

/// The names of systems.
pub const NAMES: [&str; 3] = ["a", "b", "c"];

fn traits(random: &mut Random, incremental: bool, is_strong: bool) -> Traits {
    let create = random.pick(&[
        CreateGuard::UniqueKey,
        CreateGuard::IdempotencyKey { remembered_ms: 86_400_000 },
        CreateGuard::Upsert,
        CreateGuard::Marker,
    ]);
    let strong = UpdateGuard::Strong;
    let weak = UpdateGuard::Weak { granularity_ms: 1000 };
    let update = match is_strong {
        true => strong,
        false => random.pick(&[strong, weak, UpdateGuard::Nothing, UpdateGuard::Nothing]),
    };
    // A write that lands late does most where nothing guards it.
    let (lands, trouble): (&[u64], &[u64]) = match update {
        UpdateGuard::Nothing => (&[30_000, 300_000], &[30, 40]),
        _ => (&[0, 5_000, 30_000, 300_000], &[0, 15, 30]),
    };
    Traits {
        create,
        update,
        versions: random.happens(50),
        normalises: random.happens(40),
        shows: random.happens(50),
        reuses: false,
        merges: None,
        // Offsets are of use only where everything is read, again and again.
        drifts: random.happens(30) && !incremental,
        batch_max: random.pick(&[1, 2, 100, 100]),
        granularity_us: random.pick(&[1, 1_000_000, 60_000_000]),
        skew_us: random.pick(&[0, 0, -3_000_000, 4_000_000]),
        lands_within_ms: random.pick(lands),
        found_within_ms: random.pick(&[0, 0, 20_000]),
        trouble: random.pick(trouble),
    }
}

impl Mix {
    /// The mix of this number.
    ///
    /// # Errors
    ///
    /// What is wrong with the configuration.
    pub async fn new(number: u64) -> Result<Self, String> {
        let mut random = Random::new(number.wrapping_mul(0xA076_1D64_78BD_642F));
        let incremental = random.happens(25);
        // Whose edit is the later one is known only where every write is guarded.
        let is_strong = random.happens(50);
        let systems = if random.happens(20) { 3 } else { 2 };
        let mut traits: Vec<Traits> =
            (0..systems).map(|_| traits(&mut random, incremental, is_strong)).collect();
        for system in traits.iter_mut().filter(|system| system.create == CreateGuard::Marker) {
            system.reuses = number % 2 == 1;
            // Late, an update that nothing guards would land on whatever record has the key by then.
            if system.reuses && system.update == UpdateGuard::Nothing {
                system.lands_within_ms = 0;
            }
        }
        // The later edit is found by most that is kept of edits.
        let strategies = ["newest_wins", "merge", "source_wins", "destination_wins", "manual"];
        let strategy = random.pick(&[&strategies[..1], &strategies].concat());
        let propagates = random.happens(40);
        let mut text = String::from("connections:\n");
        for (name, traits) in NAMES.iter().zip(&traits) {
            let version = if traits.versions { ", version: v" } else { "" };
            text.push_str(&format!(
                "  {name}: {{ adapter: file, duplicate_free: true, priority: {}, entities: {{ person: {{ path: \
                 {name}.csv, key: id, modified: at{version} }} }} }}\n",
                random.below(3),
            ));
        }
        let fields = "{ email: email, name: name, notes: notes }";
        text.push_str(
            "shard_types:\n  person: { fields: { email: text, name: text, notes: text }, identity: [email] }\n\
             conversion_schemas:\n",
        );
        for (name, traits) in NAMES.iter().zip(&traits) {
            let own = matches!(traits.create, CreateGuard::UniqueKey | CreateGuard::Upsert);
            let outbound = if own { ", outbound: { id: shard_id }" } else { "" };
            text.push_str(&format!(
                "  {name}: {{ shard_type: person, fields: {fields}{outbound} }}\n"
            ));
        }
        text.push_str("sync_tasks:\n");
        let mode = match incremental {
            true => format!("incremental, cursor_field: at, look_back_s: {LOOK_BACK_S}"),
            false => "full".to_owned(),
        };
        let deletes = if propagates { "propagate" } else { "unlink" };
        for (name, traits) in NAMES.iter().zip(&traits) {
            let tolerance = (traits.granularity_us + traits.skew_us.abs()) / 1000 + 1000;
            text.push_str(&format!(
                "  {name}: {{ connection: {name}, entity: person, conversion_schema: {name}, \
                 direction: bidirectional, mode: {mode}, batch: {{ size: {} }}, fuse: {{ count: 1000000 }}, \
                 outbound: {{ deletes: {deletes} }}, \
                 conflicts: {{ strategy: {strategy}, tolerance_ms: {tolerance} }} }}\n",
                random.pick(&[1, 2, 100, 100]),
            ));
        }
        let store: Arc<dyn Store> = Arc::new(OverlayStore::empty());
        let world = world(text.clone(), Vec::new(), store).await?;
        Ok(Self { number, traits, strategy, propagates, incremental, text, world })
    }

    /// The configuration over these remotes, on a store that is empty.
    ///
    /// # Errors
    ///
    /// When the store cannot be written, or numbers names as no other does.
    pub async fn world(
        &self,
        remotes: Vec<Arc<Remote>>,
        store: Arc<dyn Store>,
    ) -> Result<Arc<World>, String> {
        let (names, ids) = self.world.store.catalog().await.map_err(|error| error.to_string())?;
        let given = store.register(names).await.map_err(|error| error.to_string())?;
        if given != ids {
            return Err("equal names have got other numbers".to_owned());
        }
        let mut world = World::clone(&self.world);
        world.store = store;
        world.open_adapter = opening(remotes);
        Ok(Arc::new(world))
    }
}

fn opening(remotes: Vec<Arc<Remote>>) -> syncline_engine::world::OpenAdapter {
    Arc::new(move |connection: &Connection, _: &Path| {
        let path = match &connection.entities["person"].settings {
            EntitySettings::File(file) => file.path.as_deref().unwrap_or_default(),
            _ => "",
        };
        let found = remotes.iter().find(|remote| path.starts_with(&remote.name));
        let found: Option<Arc<dyn Adapter>> = found.map(|r| r.clone() as Arc<dyn Adapter>);
        found.ok_or_else(|| AdapterError::UnknownAdapter(path.to_owned()))
    })
}

/// A configuration over remotes, on a store. The entity of each remote has its name as `path`.
///
/// # Errors
///
/// What is wrong with the configuration.
pub async fn world(
    text: String,
    remotes: Vec<Arc<Remote>>,
    store: Arc<dyn Store>,
) -> Result<Arc<World>, String> {
    let file = SourceFile { name: "sim.yaml".to_owned(), text };
    let loaded = load(vec![file], &|_| Err("none".to_owned()), &["file"])
        .map_err(|wrong| wrong.to_string())?;
    let program = Program::compile(&loaded.config).map_err(|wrong| format!("{wrong:?}"))?;
    let secrets = loaded.secrets.clone();
    let world = World::open(loaded.config, program, Path::new("/"), store, secrets).await;
    let mut world = world.map_err(|error| error.to_string())?;
    world.open_adapter = opening(remotes);
    Ok(Arc::new(world))
}
