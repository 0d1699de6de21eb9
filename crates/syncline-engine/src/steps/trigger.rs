//! The first step: takes the task's lease, and finds out where to begin.

use super::letters::Letters;
use super::named::Named;
use super::standing::Standing;
use super::{Execution, Flight, sweep};
use crate::clock::Clock;
use crate::event::Event;
use crate::execution::{EngineError, Options};
use crate::world::World;
use std::sync::Arc;
use syncline_core::config::model::ReadMode;
use syncline_core::plan::planner::Moment;
use syncline_core::plan::recall::Recall;
use syncline_core::plan::rows::EntityId;
use syncline_store::execution::{Begin, Begun};
use uuid::Uuid;

pub(super) async fn begin<'a>(
    world: &'a Arc<World>,
    task_name: &str,
    clock: &'a dyn Clock,
    mut options: Options,
) -> Result<Execution<'a>, EngineError> {
    let (task, entity) = world.task(task_name)?;
    let ids = options.records.take().filter(|_| options.pages.is_none());
    let named = ids.map(|ids| Named::new(world, entity, ids).map(Arc::new)).transpose()?;
    let full = named.is_none() && (options.full || task.mode == ReadMode::Full);
    let now = clock.now();
    let of_some = options.pages.is_some() || named.is_some();
    let bits = xxhash_rust::xxh3::xxh3_128_with_seed(task_name.as_bytes(), options.seed);
    let begun = world
        .store
        .begin(Begin {
            task: task_name.to_owned(),
            trigger: options.trigger.as_str().to_owned(),
            worker: options.worker.clone(),
            now,
            uuid: execution_uuid(now, bits),
            fingerprint: format!("{}-{}", world.fingerprint, kind(of_some, full, now)),
        })
        .await?;
    let live_before = live_before(world, entity, &begun).await?;
    let (news, swept) = sweep::news(world, entity).await?;
    let resumed = begun.resumed.clone().unwrap_or_default();
    let execution = Execution {
        world,
        name: task_name.to_owned(),
        task,
        entity,
        clock,
        moment: Moment {
            execution: begun.execution,
            started: begun.started,
            seed: options.seed ^ begun.execution.0.cast_unsigned(),
            is_replay: options.pages.is_some(),
        },
        taken_up: now,
        taken_up_at: resumed.counters.fetched,
        full,
        of_some,
        named,
        lists_all: false,
        standing: Standing::default(),
        letters: Letters::open(world, task_name).await?,
        matching: Vec::new(),
        live_before,
        counters: resumed.counters,
        cursor: resumed.cursor,
        met: resumed.seen.clone(),
        seen: resumed.seen,
        high_water: resumed.high_water.max(begun.high_water),
        phase: "initializing",
        percent: resumed.percent,
        batches: 0,
        wrote: false,
        cancelled: false,
        recall: Recall::default(),
        unsettled: true,
        flight: Flight::default(),
        news,
        swept,
        fused: None,
        unsent: None,
        parked: 0,
        asked: world.shared.usage(&task.connection),
        options,
        begun,
    };
    execution.announce();
    Ok(execution)
}

/// Names what may be taken up where another process left it.
fn kind(of_some: bool, full: bool, now: i64) -> String {
    match (of_some, full) {
        // It has no place in the source to go on from, so it never takes up what another run left.
        (true, _) => format!("some-{now}"),
        (false, true) => "full".to_owned(),
        (false, false) => "incremental".to_owned(),
    }
}

/// The live links of the task's entity; `None` for an execution that goes on, whose beginning is past.
async fn live_before(
    world: &World,
    entity: EntityId,
    begun: &Begun,
) -> Result<Option<u64>, EngineError> {
    match begun.resumed {
        Some(_) => Ok(None),
        None => Ok(Some(world.store.live_links(entity).await?)),
    }
}

impl Execution<'_> {
    fn announce(&self) {
        self.emit(|| Event::Triggered {
            task_id: self.name.clone(),
            tenant_id: self.world.tenant.clone(),
            execution_id: self.uuid(),
            triggered_by: self.options.trigger.as_str().to_owned(),
            resumed: self.begun.resumed.is_some(),
        });
    }

    /// The execution's id outside.
    pub(super) fn uuid(&self) -> String {
        Uuid::from_u128(self.begun.uuid).to_string()
    }
}

pub(crate) fn execution_uuid(now_us: i64, bits: u128) -> u128 {
    let ms = u64::try_from(now_us / 1000).unwrap_or(0);
    let mut random = [0; 10];
    random.copy_from_slice(&bits.to_le_bytes()[..10]);
    uuid::Builder::from_unix_timestamp_millis(ms, &random).into_uuid().as_u128()
}
