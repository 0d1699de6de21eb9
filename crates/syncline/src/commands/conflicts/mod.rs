//! `syncline conflicts`: what sources disagree on, and which pairs wait for a person.

mod stored;

use crate::app::App;
use crate::commands::review::DeciderArgs;
use crate::error::{Error, Exit};
use crate::explain::{self, Claims, claims, rule};
use crate::output::{Tone, counted, shorten};
use crate::reviewing::{RecordName, Review, waiting};
use serde::Serialize;
use std::collections::BTreeMap;

use syncline_core::plan::rows::{LinkRow, ShardId, ShardRow};
use syncline_core::value::Value;
use syncline_engine::World;
use syncline_engine::edit::Answer;
use syncline_store::query::ShardFilter;

/// Shards that are looked at in one go.
const PAGE: usize = 2000;

/// What `syncline conflicts` takes.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Three things are shown: fields that a shard and one of its records both changed since they last \
agreed, where a person is asked (with `--all`, those that a rule decided too); fields whose records say different \
things (with the value that stands, and the rule by which it does); and pairs of records that a rule found to be the \
same where the type says `merge: manual`, so that a person decides.\n\n\
Examples:\n  syncline conflicts                    all types\n  \
syncline conflicts contact --limit 5   the first 5 shards of a type\n  \
syncline conflicts show 0199f3c2       one shard, field by field\n  \
syncline conflicts show 17             one conflict\n  \
syncline conflicts resolve 17 remote   the record's value stands, and goes to all others"
)]
pub struct Args {
    /// What is asked for.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What the list holds.
    #[command(flatten)]
    pub list: ListArgs,
}

/// What can be asked about conflicts.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Lists shards whose records disagree, and pairs that wait for a person
    List(ListArgs),
    /// Shows one conflict, or what the records of one shard disagree on
    Show {
        /// The conflict's number; or the shard's id, or the beginning of it
        #[arg(value_name = "NO|SHARD")]
        shard: String,
    },
    /// Decides an open conflict; what stands goes to every record with the next run
    Resolve {
        /// The conflict's number
        #[arg(value_name = "NO")]
        id: i64,
        /// `local` (the shard's value stands), `remote` (the record's), or the value itself
        answer: String,
        /// Who decides.
        #[command(flatten)]
        decider: DeciderArgs,
    },
    /// Lets shard and record say different things, until one of them changes
    Ignore {
        /// The conflict's number
        #[arg(value_name = "NO")]
        id: i64,
        /// Who decides.
        #[command(flatten)]
        decider: DeciderArgs,
    },
}

/// What the list holds.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Only shards of this type
    #[arg(value_name = "TYPE")]
    pub shard_type: Option<String>,
    /// At most so many conflicts, so many shards, and so many pairs
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub limit: usize,
    /// Conflicts that were decided, too
    #[arg(long)]
    pub all: bool,
}

/// What sources disagree on.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Conflicts {
    /// Fields that shard and record both changed.
    pub conflicts: Vec<stored::Stored>,
    /// Shards whose records disagree.
    pub shards: Vec<Conflict>,
    /// Whether there are more of them.
    pub more_shards: bool,
    /// Pairs that wait for a person.
    pub reviews: Vec<Review>,
    /// Whether there are more of them.
    pub more_reviews: bool,
}

/// A shard whose records disagree.
#[derive(Clone, Debug, Serialize)]
pub struct Conflict {
    /// The shard's UUID.
    pub shard: String,
    /// Its type.
    #[serde(rename = "type")]
    pub shard_type: String,
    /// The fields on which they do.
    pub fields: Vec<Disputed>,
}

/// A field of which records say different things.
#[derive(Clone, Debug, Serialize)]
pub struct Disputed {
    /// The field.
    pub field: String,
    /// The value that stands.
    pub value: Option<Value>,
    /// The record that gave it: connection, entity, external id.
    pub record: Option<RecordName>,
    /// The rule by which it stands.
    pub rule: String,
    /// What the others say.
    pub others: Vec<Other>,
}

/// What a record says that does not stand.
#[derive(Clone, Debug, Serialize)]
pub struct Other {
    /// The record.
    pub record: RecordName,
    /// What it says.
    pub value: Value,
}

/// Lists or shows what sources disagree on.
///
/// # Errors
///
/// When there is no such shard or type, or the store cannot be read.
pub async fn run(args: Args, app: &App) -> Result<Exit, Error> {
    match &args.command {
        Some(Command::Resolve { id, answer, decider }) => {
            stored::decide(*id, stored::answer(answer), decider, app).await?;
            return Ok(Exit::Success);
        }
        Some(Command::Ignore { id, decider }) => {
            stored::decide(*id, Answer::Ignore, decider, app).await?;
            return Ok(Exit::Success);
        }
        _ => {}
    }
    let sync = app.open_to_read(None).await?;
    match args.command {
        Some(Command::Show { shard }) if shard.len() < 8 && shard.parse::<i64>().is_ok() => {
            stored::show(sync.world(), shard.parse().unwrap_or_default(), app).await?;
        }
        Some(Command::Show { shard }) => show(sync.world(), &shard, app).await?,
        Some(Command::List(list)) => print(&find(sync.world(), &list).await?, app)?,
        Some(Command::Resolve { .. } | Command::Ignore { .. }) => {}
        None => print(&find(sync.world(), &args.list).await?, app)?,
    }
    Ok(Exit::Success)
}

/// Finds what sources disagree on.
///
/// # Errors
///
/// When there is no such type, or the store cannot be read.
pub async fn find(world: &World, args: &ListArgs) -> Result<Conflicts, Error> {
    let shard_type = match &args.shard_type {
        Some(name) => Some(super::shards::type_named(&world.shard_types, name)?),
        None => None,
    };
    let stored = stored::find(world, args.all, args.limit).await?;
    let mut conflicts = Conflicts { conflicts: stored, ..Conflicts::default() };
    let mut after = ShardId(0);
    // One more than wanted tells whether there are more.
    while conflicts.shards.len() <= args.limit {
        let filter = ShardFilter { shard_type, after, limit: PAGE, ..ShardFilter::default() };
        let shards = world.store.shards(filter).await?;
        let Some(last) = shards.last() else { break };
        after = last.id;
        add_page(world, shards, &mut conflicts.shards).await?;
    }
    conflicts.more_shards = conflicts.shards.len() > args.limit;
    conflicts.shards.truncate(args.limit);
    let mut reviews = waiting(world, shard_type).await?;
    conflicts.more_reviews = reviews.len() > args.limit;
    reviews.truncate(args.limit);
    conflicts.reviews = reviews;
    Ok(conflicts)
}

async fn add_page(
    world: &World,
    shards: Vec<ShardRow>,
    out: &mut Vec<Conflict>,
) -> Result<(), Error> {
    let ids = shards.iter().map(|shard| shard.id).collect();
    let mut links: BTreeMap<ShardId, Vec<LinkRow>> = BTreeMap::default();
    for link in world.store.links_of(ids).await? {
        links.entry(link.shard).or_default().push(link);
    }
    for shard in shards {
        let Some(links) = links.remove(&shard.id) else { continue };
        // Where every image is the shard's own data, all records agree.
        if links.len() > 1 && links.iter().any(|link| link.image != shard.data) {
            let claims = claims(world, &shard, links)?.with_agreements(world).await?;
            let fields = disputed(&claims);
            if !fields.is_empty() {
                let shard_type = claims.layout.shard_type.to_string();
                out.push(Conflict { shard: explain::uuid(shard.uuid), shard_type, fields });
            }
        }
    }
    Ok(())
}

fn disputed(claims: &Claims) -> Vec<Disputed> {
    let name = |record: usize| RecordName {
        connection: claims.names[record].connection.clone(),
        entity: claims.names[record].entity.clone(),
        external_id: claims.links[record].external_id.to_string(),
    };
    let story = |field: usize| {
        let stands = claims.data[field].as_ref();
        let others = (0..claims.links.len()).filter(|&record| !claims.links[record].deleted);
        let others = others.filter_map(|record| {
            let says = claims.says(record, field)?;
            let differs = !says.is_null() && Some(says) != stands;
            differs.then(|| Other { record: name(record), value: says.clone() })
        });
        Disputed {
            field: claims.layout.names()[field].to_string(),
            value: stands.cloned(),
            record: claims.winner(field).map(name),
            rule: rule(claims, field),
            others: others.collect(),
        }
    };
    claims.disputed().into_iter().map(story).collect()
}

fn print(conflicts: &Conflicts, app: &App) -> Result<(), Error> {
    if app.out.json {
        return app.out.json(conflicts);
    }
    if !conflicts.conflicts.is_empty() {
        stored::print(&conflicts.conflicts, app)?;
        app.out.line("")?;
    }
    let mut rows = Vec::new();
    for conflict in &conflicts.shards {
        for field in &conflict.fields {
            let others: Vec<String> = field
                .others
                .iter()
                .map(|other| format!("{} ({})", value(Some(&other.value)), other.record.connection))
                .collect();
            rows.push(vec![
                conflict.shard.clone(),
                conflict.shard_type.clone(),
                field.field.clone(),
                value(field.value.as_ref()),
                field.record.as_ref().map_or_else(String::new, |record| record.connection.clone()),
                shorten(&others.join(", "), 80),
            ]);
        }
    }
    if conflicts.shards.is_empty() {
        app.out.line("no shard has records that disagree")?;
    } else {
        app.out.table(&["shard", "type", "field", "stands", "from", "against"], rows)?;
        if conflicts.more_shards {
            let shown = counted(conflicts.shards.len() as u64, "shard");
            app.out.note(format!("the first {shown}; `--limit N` shows more"));
        }
        app.out.note("`syncline conflicts show SHARD` tells more of one");
    }
    if conflicts.reviews.is_empty() {
        return Ok(());
    }
    app.out.line("")?;
    app.out.line(app.out.paint(Tone::Bold, "pairs that wait for a person"))?;
    let rows = conflicts.reviews.iter().map(|review| {
        let name = |r: &RecordName| format!("{}/{} {}", r.connection, r.entity, r.external_id);
        let score = format!("{:.2}", review.score);
        vec![name(&review.a), name(&review.b), review.rule.clone(), score]
    });
    app.out.table(&["record", "and record", "rule", "score"], rows.collect())?;
    if conflicts.more_reviews {
        let shown = counted(conflicts.reviews.len() as u64, "pair");
        app.out.note(format!("the first {shown}; `--limit N` shows more"));
    }
    Ok(())
}

async fn show(world: &World, shard: &str, app: &App) -> Result<(), Error> {
    let found = explain::find(world.store.as_ref(), shard).await?;
    let links = world.store.links_of(vec![found.shard.id]).await?;
    let claims = claims(world, &found.shard, links)?.with_agreements(world).await?;
    let conflict = Conflict {
        shard: explain::uuid(found.shard.uuid),
        shard_type: claims.layout.shard_type.to_string(),
        fields: disputed(&claims),
    };
    if app.out.json {
        return app.out.json(&conflict);
    }
    if let Some(old) = &found.redirected_from {
        app.out.line(format!("{old} was merged into {}", conflict.shard))?;
    }
    let heading = format!("{} {}", conflict.shard_type, conflict.shard);
    app.out.line(app.out.paint(Tone::Bold, &heading))?;
    if conflict.fields.is_empty() {
        return app.out.line("its records do not disagree");
    }
    let name = |r: &RecordName| format!("{}/{} {}", r.connection, r.entity, r.external_id);
    for field in &conflict.fields {
        let from = field.record.as_ref().map(|r| format!(" from {}", name(r))).unwrap_or_default();
        app.out.line("")?;
        app.out.line(app.out.paint(Tone::Bold, &field.field))?;
        app.out.line(format!("  stands   {}{from}", value(field.value.as_ref())))?;
        for other in &field.others {
            app.out.line(format!(
                "  against  {} from {}",
                value(Some(&other.value)),
                name(&other.record)
            ))?;
        }
        app.out.line(format!("  rule     {}", field.rule))?;
    }
    app.out.note("\n`syncline why SHARD FIELD` tells where a value comes from");
    Ok(())
}

fn value(value: Option<&Value>) -> String {
    value.map_or_else(|| "(absent)".to_owned(), |value| shorten(&value.to_json(), 60))
}
