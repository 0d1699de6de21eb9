//! What a program says on its standard output, whichever protocol it speaks.

use super::batch::Batch;
use serde_json::Value as Json;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// One message.
#[derive(Debug)]
pub(super) enum Message<'a> {
    /// A record, as the text of a JSON object.
    Record { stream: Cow<'a, str>, namespace: Option<Cow<'a, str>>, data: &'a RawValue },
    /// A later run can go on from here, once all records before this are safe.
    State(Json),
    /// Records of this stream may follow.
    Begins(Cow<'a, str>),
    /// How far a stream is.
    Status { stream: String, status: Status },
    /// Something went wrong, for all streams or for one.
    Failure(Failure),
    /// The program changed its configuration.
    Config(Json),
    /// The records of a stream are in files; or why those cannot be read.
    Files(Cow<'a, str>, Result<Batch, String>),
    /// What a program was asked for: its specification, its catalog, whether it can read.
    Answer(Answer),
    /// Something that nothing depends on.
    Other,
}

/// How far a stream is, in a program's own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Running,
    Complete,
    Incomplete,
}

/// Why a program could not do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) stream: Option<String>,
    pub(super) is_transient: bool,
    pub(super) message: String,
}

/// What a program was asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    Spec(Json),
    Catalog(Json),
    /// Why it cannot read, where it cannot.
    Check(Result<(), String>),
}
