//! Work that an API does before there is anything to read: it is asked for, waited for, and then downloaded.

use super::decode::Decoder;
use super::expression::Expression;
use super::interpolate::{StreamSlice, text_of};
use super::load::Node;
use super::request::{Parts, Requester, Sent};
use super::select::Extractor;
use super::session::{Response, Session};
use super::trouble::{FailureKind, Trouble};
use serde_json::{Map, Value as Json};
use std::collections::HashMap;
use std::sync::Arc;

const ATTEMPTS: u32 = 3;
const SECONDS_BETWEEN: f64 = 5.0;
const MINUTES: f64 = 60.0;
/// A day and a half: the longest that work is waited for.
const MINUTES_MAX: f64 = 2_160.0;

/// The requests that work takes.
pub(super) struct Job {
    creation: Requester,
    polling: Requester,
    status: Extractor,
    statuses: HashMap<String, Status>,
    target: Option<Requester>,
    targets: Option<Extractor>,
    abort: Option<Requester>,
    delete: Option<Requester>,
    minutes: Option<Expression>,
    pause: Option<Expression>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Running,
    Completed,
    Failed,
    TimedOut,
    Skipped,
}

/// Work that is done.
pub(super) struct Done {
    slice: StreamSlice,
    created: Json,
    /// What is to be downloaded: the same slice, once for each target.
    pub(super) downloads: Vec<StreamSlice>,
}

impl Job {
    pub(super) fn load(retriever: &Node<'_>) -> Result<Self, Trouble> {
        let decoder = Decoder::load(retriever.child("decoder").as_ref())?;
        let needed = |name: &str| Requester::load(&retriever.needed_child(name)?);
        let other = |name: &str| retriever.child(name).map(|n| Requester::load(&n)).transpose();
        let mapping = retriever.needed_child("status_mapping")?;
        let mut statuses = HashMap::new();
        for (name, names) in mapping.entries() {
            let status = match name.as_str() {
                "running" => Status::Running,
                "completed" => Status::Completed,
                "failed" => Status::Failed,
                "timeout" => Status::TimedOut,
                "skipped" => Status::Skipped,
                _ => continue,
            };
            for name in names.as_array().into_iter().flatten() {
                statuses.insert(text_of(name), status);
            }
        }
        let targets = retriever.child("download_target_extractor");
        let (target, targets) = (
            other("download_target_requester")?,
            targets.map(|targets| Extractor::load(&targets, &decoder)).transpose()?,
        );
        if target.is_some() && targets.is_none() {
            return Err(retriever.missing("download_target_extractor"));
        }
        Ok(Self {
            creation: needed("creation_requester")?,
            polling: needed("polling_requester")?,
            status: Extractor::load(&retriever.needed_child("status_extractor")?, &decoder)?,
            statuses,
            target,
            targets,
            abort: other("abort_requester")?,
            delete: other("delete_requester")?,
            minutes: retriever.expression("polling_job_timeout"),
            pause: retriever.expression("failed_retry_wait_time_in_seconds"),
        })
    }

    /// Has the work for `slice` done; `None` where the API says that there is nothing in it.
    pub(super) async fn run(
        &self,
        session: &Session,
        slice: &StreamSlice,
    ) -> Result<Option<Done>, Trouble> {
        let mut last = String::new();
        for attempt in 1..=ATTEMPTS {
            let created = match send(&self.creation, session, slice).await {
                Ok(response) => context(&response),
                Err(trouble) if trouble.kind == FailureKind::Config => return Err(trouble),
                Err(trouble) => {
                    last = trouble.message;
                    continue;
                }
            };
            let own = with_extra(slice, [("creation_response", created.clone())]);
            match self.poll(session, &own).await? {
                (Status::Completed, polled) => {
                    let downloads = self.downloads(session, slice, &created, &polled).await?;
                    return Ok(Some(Done { slice: slice.clone(), created, downloads }));
                }
                (Status::Skipped, _) => return Ok(None),
                (Status::TimedOut | Status::Running, _) => {
                    last = "it was not done in time".to_owned();
                    if let Some(abort) = &self.abort {
                        // It is given up in either case.
                        drop(send(abort, session, &own).await);
                    }
                }
                (Status::Failed, _) => {
                    last = "the API says that it failed".to_owned();
                    if let (Some(pause), true) = (&self.pause, attempt < ATTEMPTS) {
                        let seconds = pause.text(session.scope())?.trim().parse().unwrap_or(0.0);
                        session.clock.wait(seconds).await;
                    }
                }
            }
        }
        Err(Trouble::system(format!("the API did not do the work in {ATTEMPTS} attempts: {last}")))
    }

    /// Waits until the work has come to an end, and answers with the last response.
    async fn poll(
        &self,
        session: &Session,
        slice: &StreamSlice,
    ) -> Result<(Status, Arc<Response>), Trouble> {
        let minutes =
            match &self.minutes {
                Some(minutes) => minutes.text(session.scope())?.trim().parse().map_err(|_| {
                    Trouble::config("`polling_job_timeout` is no number of minutes")
                })?,
                None => MINUTES,
            };
        let polls = (f64::clamp(minutes, 0.0, MINUTES_MAX) * 60.0 / SECONDS_BETWEEN) as u64;
        let mut polled = 0;
        loop {
            let response = send(&self.polling, session, slice).await?;
            let found = self.status.records(session, &response)?;
            let name = text_of(found.first().unwrap_or(&Json::Null));
            let status = *self.statuses.get(&name).ok_or_else(|| {
                Trouble::system(format!("the connector does not know the status `{name}`"))
            })?;
            if status != Status::Running || polled >= polls {
                return Ok((status, response));
            }
            polled += 1;
            session.clock.wait(SECONDS_BETWEEN).await;
        }
    }

    async fn downloads(
        &self,
        session: &Session,
        slice: &StreamSlice,
        created: &Json,
        polled: &Arc<Response>,
    ) -> Result<Vec<StreamSlice>, Trouble> {
        let polling = context(polled);
        let targets = match (&self.targets, &self.target) {
            (None, _) => vec![Json::from("")],
            (Some(targets), None) => targets.records(session, polled)?,
            (Some(targets), Some(target)) => {
                let polled = [("polling_response", polling.clone())];
                let own = with_extra(&StreamSlice::default(), polled);
                targets.records(session, &*send(target, session, &own).await?)?
            }
        };
        let download = |target: Json| {
            with_extra(
                slice,
                [
                    ("download_target", target),
                    ("creation_response", created.clone()),
                    ("polling_response", polling.clone()),
                ],
            )
        };
        Ok(targets.into_iter().map(download).collect())
    }

    /// Tells the API that what it made is no longer needed.
    pub(super) async fn delete(&self, session: &Session, done: &Done) -> Result<(), Trouble> {
        if let Some(delete) = &self.delete {
            let own = with_extra(&done.slice, [("creation_response", done.created.clone())]);
            send(delete, session, &own).await?;
        }
        Ok(())
    }
}

async fn send(
    requester: &Requester,
    session: &Session,
    slice: &StreamSlice,
) -> Result<Arc<Response>, Trouble> {
    match requester.send(session, slice, &Json::Null, None, Parts::default()).await? {
        Sent::Response(response) => Ok(response),
        Sent::TooMuch(_, said) => Err(Trouble::system(format!(
            "what is asked for is too much, and cannot be made smaller: {said}"
        ))),
        Sent::ResetPagination => Err(Trouble::system("there are no pages to begin again with")),
    }
}

/// What templates see of a response: its JSON, with the headers.
fn context(response: &Response) -> Json {
    let mut context = response.json_or_empty().as_object().cloned().unwrap_or_default();
    context.entry("headers").or_insert_with(|| Json::Object(response.headers.plain().clone()));
    Json::Object(context)
}

fn with_extra<const N: usize>(slice: &StreamSlice, more: [(&str, Json); N]) -> StreamSlice {
    let mut extra: Map<String, Json> = slice.extra_fields().clone();
    extra.extend(more.map(|(name, value)| (name.to_owned(), value)));
    StreamSlice::new(slice.partition().clone(), slice.cursor_slice().clone(), extra)
}
