//! What writes need to know that only the system knows, asked for right before them: the records as they are now, and
//! what the block calls their context.

use super::super::interpolate::text_of;
use super::super::session::Session;
use super::Writing;
use super::look::Failure;
use super::operation::{Operation, Seen};
use super::settle::{Settled, not_sent};
use crate::write::{Change, Write, Written};
use serde_json::Value as Json;
use std::collections::HashMap;

/// What was asked for before the writes of one call.
pub(super) struct Around {
    context: Result<Json, Failure>,
    /// By what names them.
    current: Result<HashMap<String, Json>, Failure>,
}

impl Around {
    /// Asks for what the templates of `writes` look at, in as few requests as `get` takes.
    pub(super) async fn ask(writing: &Writing, session: &Session, writes: &[Write]) -> Self {
        let operations =
            || writes.iter().filter_map(|write| Some((write, writing.operation(write).ok()?)));
        let context = match operations().any(|(_, operation)| operation.reads("context")) {
            true => writing.context(session).await,
            false => Ok(Json::Null),
        };
        let wanted = operations().filter(|(write, operation)| {
            !matches!(write.change, Change::Create { .. }) && operation.reads("current")
        });
        // One that cannot be named is refused when its request is made.
        let wanted: Vec<Seen> =
            wanted.filter_map(|(write, operation)| operation.seen(session, write).ok()).collect();
        let current = match wanted.is_empty() {
            true => Ok(HashMap::new()),
            false => writing.look(session, &writing.get, wanted).await.map(|records| {
                let named = records.into_iter();
                named.map(|record| (writing.id_of(&record), Json::Object(record))).collect()
            }),
        };
        Self { context, current }
    }

    /// Shows `seen` to the templates of `operation` with what they look at.
    ///
    /// # Errors
    ///
    /// What becomes of the write without being sent: nothing could be asked, its record is gone, or is another version
    /// than the one that it was decided on.
    pub(super) fn add(
        &self,
        writing: &Writing,
        operation: &Operation,
        seen: &mut Seen,
    ) -> Result<(), Settled> {
        let failed = |failure: &Failure| not_sent(failure.problem.clone(), failure.later.flatten());
        if operation.reads("context") {
            seen.add("context", self.context.as_ref().map_err(failed)?);
        }
        if operation.kind.makes() || !operation.reads("current") {
            return Ok(());
        }
        let current = self.current.as_ref().map_err(failed)?.get(&seen.id());
        let current = current.ok_or((Written::Missing, None))?;
        let decided_on = seen.plain.get("version").and_then(Json::as_str);
        let is = writing.version_field.as_ref().and_then(|field| current.get(field)).map(text_of);
        if let (Some(decided_on), Some(is)) = (decided_on, is)
            && decided_on != is
        {
            return Err((Written::Changed, None));
        }
        seen.add("current", current);
        Ok(())
    }
}
