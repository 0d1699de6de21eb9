//! `syncline match explain`: what the rules and the model make of two records.

use super::waterfall;
use crate::app::App;
use crate::error::{Error, Exit};
use crate::models;
use crate::output::{Tone, count, shorten};
use crate::reviewing::find_record;
use serde::Serialize;
use std::fmt::Write;
use std::path::PathBuf;
use syncline_core::matching::RuleExplanation;
use syncline_core::matching::model::ModelExplanation;
use syncline_core::plan::rows::LinkRow;
use syncline_core::plan::view::Need;
use syncline_core::shard::Image;
use syncline_engine::World;

/// What `syncline match explain` takes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A record is named by connection/entity:external-id, by its external id alone where that is \
    unambiguous, or by the id of a shard (its first record is taken).\n\n\
    Examples:\n  syncline match explain crm/contact:17 shop/customer:A7\n  \
    syncline match explain C0000017 C0000099 --svg why.svg"
)]
pub(super) struct Args {
    /// The one record
    pub(super) a: String,
    /// The other record
    pub(super) b: String,
    /// Draws the model's waterfall into this file
    #[arg(long, value_name = "FILE")]
    pub(super) svg: Option<PathBuf>,
}

/// What is told of two records.
#[derive(Debug, Serialize)]
struct Told {
    a: String,
    b: String,
    shard_type: String,
    rules: Vec<RuleExplanation>,
}

/// Explains what is made of two records.
///
/// # Errors
///
/// When there is no such record, when the two are of different types, or when the store cannot be read.
pub(super) async fn run(args: Args, app: &App) -> Result<Exit, Error> {
    let sync = app.open_to_read(None).await?;
    let world = sync.world();
    let (a, b) = (find(world, &args.a).await?, find(world, &args.b).await?);
    if a.shard_type != b.shard_type {
        let message = format!("`{}` and `{}` are of different shard types", args.a, args.b);
        return Err(Error::usage(message, "only records of one type are ever compared"));
    }
    let rules = &world.rules.types[a.shard_type];
    let told = Told {
        a: a.name,
        b: b.name,
        shard_type: rules.layout.shard_type.to_string(),
        rules: rules.matcher.explain(&a.image, &b.image, rules.matcher.all_rules()),
    };
    if let Some(path) = &args.svg {
        let model = told.rules.iter().find_map(|rule| rule.model.as_ref()).ok_or_else(|| {
            let message = format!("shard type `{}` has no model to draw", told.shard_type);
            Error::usage(message, "leave `--svg` out to see its rules")
        })?;
        let drawing = waterfall::svg(&format!("{} and {}", told.a, told.b), model);
        models::write(path, &drawing)
            .map_err(|source| Error::Write { path: path.clone(), source })?;
    }
    if app.out.json {
        app.out.json(&told)?;
    } else {
        app.out.line(text(&told, |tone, text| app.out.paint(tone, text)).trim_end())?;
        if let Some(remark) = models::remark(&told.shard_type, &rules.matcher) {
            app.out.note(app.out.advise(&remark));
        }
    }
    Ok(Exit::Success)
}

struct Record {
    name: String,
    /// Index of the shard type.
    shard_type: usize,
    image: Image,
}

async fn find(world: &World, name: &str) -> Result<Record, Error> {
    let id = find_record(world, name).await?;
    let found = world.store.read(Need { links: vec![id], ..Need::default() }).await?;
    let link = found.links.first().ok_or_else(|| {
        Error::refused(format!("record `{name}` is not there any more"), "name another one")
    })?;
    record(world, link).await
}

async fn record(world: &World, link: &LinkRow) -> Result<Record, Error> {
    let name = world.rules.entities.get(&link.entity).ok_or_else(|| {
        let message = format!("nothing is configured for record `{}` any more", link.external_id);
        Error::refused(message, "bring its shard type back into the configuration")
    })?;
    let layout = &world.rules.types[name.shard_type].layout;
    let image = layout.read_json(&link.image).map_err(|error| {
        let message = format!("the image of record `{}` cannot be read: {error}", link.external_id);
        Error::refused(message, "bring the store back from a backup")
    })?;
    let full = format!("{}/{}:{}", name.connection, name.entity, link.external_id);
    Ok(Record { name: full, shard_type: name.shard_type, image })
}

fn text(told: &Told, paint: impl Fn(Tone, &str) -> String) -> String {
    let mut out = paint(Tone::Bold, &format!("{} and {}", told.a, told.b));
    if told.rules.is_empty() {
        out.push_str("\nnothing compares records of this type");
    }
    for rule in &told.rules {
        let score =
            rule.score.map_or_else(|| "nothing to compare".to_owned(), |s| format!("{s:.4}"));
        let verdict = match &rule.model {
            _ if rule.is_match => "match",
            Some(model) if model.probability >= model.review => "to be reviewed",
            _ => "no match",
        };
        write!(out, "\n\n{}: {score}, threshold {:.4}: {verdict}", rule.rule, rule.threshold)
            .expect("text takes everything");
        for part in &rule.comparisons {
            let side = |side: &Option<String>| shorten(side.as_deref().unwrap_or("(none)"), 30);
            let similarity =
                part.similarity.map_or_else(|| "left out".into(), |s| format!("{s:.3}"));
            write!(
                out,
                "\n  {:<14} {} / {}: {similarity} × weight {}",
                part.field,
                side(&part.left),
                side(&part.right),
                part.weight
            )
            .expect("text takes everything");
        }
        if let Some(model) = &rule.model {
            out.push_str(&model_text(model));
        }
    }
    out
}

/// The waterfall of a model: what is known at first, what each comparison adds, in bits, and the sum.
pub(in crate::commands) fn model_text(model: &ModelExplanation) -> String {
    let mut out = format!(
        "\n  {:<16} {:>7.2}  among {} records",
        "at first",
        model.prior,
        count(model.records)
    );
    for row in &model.comparisons {
        let side = |side: &Option<String>| shorten(side.as_deref().unwrap_or("(none)"), 30);
        write!(
            out,
            "\n  {:<16} {:>7.2}  {}: {} / {}",
            row.field,
            row.weight,
            row.level,
            side(&row.left),
            side(&row.right)
        )
        .expect("text takes everything");
    }
    if let Some(name) = model.alternative_name {
        write!(
            out,
            "\n  {:<16} {:>7.2}  {name}: explains it too",
            "another reason", model.alternative
        )
        .expect("text takes everything");
    }
    // A zero that is added takes the sign off -0.00.
    let odds = model.threshold / (1.0 - model.threshold);
    let goal = (odds.log2() * 100.0).round() / 100.0 + 0.0;
    write!(
        out,
        "\n  {:<16} {:>7.2}  probability {:.4}; a match from {:.2} on",
        "total", model.total, model.probability, goal
    )
    .expect("text takes everything");
    out
}
