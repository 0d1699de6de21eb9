//! `syncline erase`: takes somebody out of the store, for good.

use crate::app::App;
use crate::commands::review::{DeciderArgs, decider};
use crate::error::{Error, Exit};
use crate::explain::{find, uuid};
use crate::output::{Tone, counted};
use ring::rand::{SecureRandom, SystemRandom};
use serde::Serialize;
use syncline_engine::SystemClock;
use syncline_engine::erase::{Case, Remains, There, delete_records, erasure, settle};
use syncline_store::StoreError;
use syncline_store::erasure::Mark;
use syncline_store::sqlite::{Options, SqliteStore};

/// What `syncline erase` takes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The shard, those that were merged into it, what all their records said and say, their history, conflicts, \
refused records and pending writes are taken out of the store, and every page of its file is written anew. This cannot \
be undone. What stays is the shard's id, as that of a deleted one, and for each record a keyed hash of its name, by which later \
runs know that it is to stay away: nothing is read of it, and nothing written to it.\n\n\
The records at their systems are left as they are, and are listed; with `--at-systems delete` they are deleted where a task \
writes. Lines that could not be read, exports, saved plans, model files and backups are not looked through.\n\n\
Examples:\n  syncline shards list --where email=ann@example.com   finds the shard\n  \
syncline erase 0199f3c2 --preview                    shows what would go\n  syncline erase 0199f3c2"
)]
pub struct Args {
    /// The shard's id, or the beginning of it
    pub shard: String,
    /// What becomes of the records at their systems
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = AtSystems::Leave)]
    pub at_systems: AtSystems,
    /// Who does it.
    #[command(flatten)]
    pub decider: DeciderArgs,
}

/// What becomes of records at their systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum AtSystems {
    /// They stay, and are passed over
    Leave,
    /// They are deleted where a task writes
    Delete,
}

#[derive(Serialize)]
struct Told {
    shard: String,
    erased: bool,
    records: Vec<Remains>,
    /// Records that looked something up in it.
    dependents: usize,
}

/// Runs the command.
///
/// # Errors
///
/// When there is no such shard, while a task runs, or when the store cannot work.
pub async fn run(args: Args, app: &App) -> Result<Exit, Error> {
    let who = &args.decider;
    let sync = if who.preview { app.open_to_read(None).await? } else { app.open(None).await? };
    let found = find(sync.store().as_ref(), &args.shard).await?.shard;
    let tenant = sync.world().tenant.clone();
    let options = Options { tenant, read_only: who.preview, ..Options::default() };
    let store = SqliteStore::open(sync.store_path(), options)?;
    let family = store.family(found.id).await?;
    let mut case = erasure(sync.world(), &SystemClock, family, new_key()?).await?;
    let id = uuid(found.uuid);
    let dependents = case.erasure.dependents.clone();
    if !who.preview {
        store.erase(case.erasure.clone()).await.map_err(refusal)?;
        if args.at_systems == AtSystems::Delete {
            delete_records(sync.world(), &SystemClock, &mut case.records).await;
        }
        settle(sync.world(), &SystemClock, &case, &decider(who)).await?;
        // Every connection to the file but one has to be closed.
        drop(sync);
        store.wipe(dependents.clone()).await.map_err(refusal)?;
    }
    let is_kept = |record: &Remains| matches!(record.there, There::Kept(_));
    let Case { records, .. } = case;
    let exit = if records.iter().any(is_kept) { Exit::Partial } else { Exit::Success };
    let told = Told { shard: id, erased: !who.preview, records, dependents: dependents.len() };
    tell(&told, app)?;
    Ok(exit)
}

/// What stands in the way is told with what to do about it.
fn refusal(error: StoreError) -> Error {
    match error {
        StoreError::Unusable { doing: "erase from", problem, .. } => {
            let hint = "`syncline run` looks up what became of writes; end what reads the store; then erase again";
            Error::refused(problem, hint)
        }
        error => error.into(),
    }
}

fn tell(told: &Told, app: &App) -> Result<(), Error> {
    if app.out.json {
        return app.out.json(told);
    }
    let verb = if told.erased { "erased" } else { "would be erased" };
    app.out.line(format!("{verb}: shard {} and all that is known of it here", told.shard))?;
    if told.dependents > 0 {
        let others = counted(told.dependents as u64, "other record");
        app.out.line(format!(
            "{others} looked something up there: without it now, and without history"
        ))?;
    }
    if !told.records.is_empty() {
        let title = "records at their systems, passed over from now on";
        app.out.line(app.out.paint(Tone::Bold, title))?;
        let there = |of: &Remains| match &of.there {
            There::Left => "left as it is".to_owned(),
            There::Deleted => "deleted".to_owned(),
            There::Kept(because) => format!("not deleted: {because}"),
        };
        let row = |of: &Remains| {
            vec![of.connection.clone(), of.entity.clone(), of.external_id.clone(), there(of)]
        };
        let rows = told.records.iter().map(row).collect();
        app.out.table(&["connection", "entity", "external id", "there"], rows)?;
    }
    if !told.erased {
        app.out.line(app.out.paint(Tone::Dim, "this was a preview: nothing was written"))?;
    }
    Ok(())
}

/// The key of the marks, should the store have none yet.
fn new_key() -> Result<Mark, Error> {
    let mut key = Mark::default();
    match SystemRandom::new().fill(&mut key) {
        Ok(()) => Ok(key),
        Err(_) => Err(Error::refused("this machine gives no random numbers", "try again")),
    }
}
