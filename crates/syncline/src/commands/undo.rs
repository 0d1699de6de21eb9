//! `syncline undo`: takes back what an execution did.

use crate::app::App;
use crate::commands::review::{DeciderArgs, decider};
use crate::error::{Error, Exit};
use crate::output::{Tone, counted};
use syncline_engine::SystemClock;
use syncline_engine::undo::{Left, undo};

/// Takes back what an execution changed in shards, as far as it still stands.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Fields that were changed since stay as they are, and are listed. Records that still hold what was \
written to them get back what they held, with the next run of their task.\n\n\
Example:\n  syncline undo 0199f3c2 --preview"
)]
pub struct Args {
    /// The execution's id, or the beginning of it
    pub execution: String,
    /// Who does it.
    #[command(flatten)]
    pub decider: DeciderArgs,
}

/// Runs the command.
///
/// # Errors
///
/// When there is no such execution, or the store cannot work.
pub async fn run(args: Args, app: &App) -> Result<Exit, Error> {
    let who = &args.decider;
    let sync = if who.preview { app.open_to_read(None).await? } else { app.open(None).await? };
    let all = sync.store().executions(None, usize::MAX).await?;
    let wanted = args.execution.to_lowercase();
    let found: Vec<_> = all.iter().filter(|row| row.uuid.starts_with(&wanted)).collect();
    let execution = match found.as_slice() {
        [one] => one.id,
        [] => {
            let message = format!("there is no execution `{}`", args.execution);
            return Err(Error::refused(message, "`syncline executions` lists them"));
        }
        _ => {
            let message = format!("several executions begin with `{}`", args.execution);
            return Err(Error::refused(message, "give more of the id"));
        }
    };
    let undone = undo(sync.world(), &SystemClock, execution, &decider(who)).await?;
    if app.out.json {
        app.out.json(&undone)?;
        return Ok(Exit::Success);
    }
    if undone.fields == 0 && undone.shards == 0 && undone.left.is_empty() {
        return app
            .out
            .line("there is nothing to take back: it changed no shard")
            .map(|()| Exit::Success);
    }
    let (shards, fields) = (counted(undone.shards, "shard"), counted(undone.fields, "field"));
    app.out.line(format!("{fields} of {shards} say again what they said before"))?;
    if !undone.left.is_empty() {
        app.out.line(app.out.paint(Tone::Bold, "not taken back"))?;
        let row = |left: &Left| vec![left.of.clone(), left.field.clone(), left.because.clone()];
        app.out.table(&["of", "field", "because"], undone.left.iter().map(row).collect())?;
    }
    if who.preview {
        app.out.line(app.out.paint(Tone::Dim, "this was a preview: nothing was written"))?;
    } else if undone.fields > 0 {
        app.out.note(app.out.advise("`syncline run` writes it to the records"));
    }
    Ok(Exit::Success)
}
