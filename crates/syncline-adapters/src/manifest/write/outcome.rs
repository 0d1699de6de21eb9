//! What the status of a reply means for a write.

use super::super::limits::Operation;
/// What a status means.
pub(super) use syncline_core::config::model::OutcomeName as Meaning;
use syncline_core::config::model::WriteOutcomes;

/// What is done to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Create,
    Upsert,
    Update,
    Delete,
}

impl Kind {
    pub(super) fn makes(self) -> bool {
        matches!(self, Self::Create | Self::Upsert)
    }
}

impl From<Kind> for Operation {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Create | Kind::Upsert => Self::Create,
            Kind::Update => Self::Update,
            Kind::Delete => Self::Delete,
        }
    }
}

/// What `status` means: what the block says, or `None` where it says nothing of it.
pub(super) fn declared(outcomes: &WriteOutcomes, status: u16) -> Option<Meaning> {
    let lists = [
        (&outcomes.done, Meaning::Done),
        (&outcomes.changed, Meaning::Changed),
        (&outcomes.missing, Meaning::Missing),
        (&outcomes.exists, Meaning::Exists),
        (&outcomes.rejected, Meaning::Rejected),
        (&outcomes.not_sent, Meaning::NotSent),
        (&outcomes.unknown, Meaning::Unknown),
    ];
    lists.into_iter().find_map(|(list, meaning)| list.contains(&status).then_some(meaning))
}

/// What `status` usually means (RFC 9110 §15, RFC 6585 §4). Redirections are not followed, so they change nothing.
pub(super) fn usual(kind: Kind, status: u16) -> Meaning {
    match (status, kind.makes()) {
        (200..=299, _) => Meaning::Done,
        (409 | 412, true) => Meaning::Exists,
        (409 | 412, false) => Meaning::Changed,
        (404 | 410, false) => Meaning::Missing,
        (401 | 429, _) => Meaning::NotSent,
        (300..=499, _) if status != 408 => Meaning::Rejected,
        _ => Meaning::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_means_what_is_said_or_what_is_usual() {
        let said = WriteOutcomes {
            rejected: vec![409],
            done: vec![304],
            not_sent: vec![503],
            ..WriteOutcomes::default()
        };
        let cases = [
            (Kind::Create, 201, Meaning::Done),
            (Kind::Create, 412, Meaning::Exists),
            (Kind::Upsert, 409, Meaning::Rejected),
            (Kind::Create, 404, Meaning::Rejected),
            (Kind::Update, 412, Meaning::Changed),
            (Kind::Update, 404, Meaning::Missing),
            (Kind::Delete, 410, Meaning::Missing),
            (Kind::Delete, 304, Meaning::Done),
            (Kind::Update, 302, Meaning::Rejected),
            (Kind::Update, 401, Meaning::NotSent),
            (Kind::Update, 422, Meaning::Rejected),
            (Kind::Update, 408, Meaning::Unknown),
            (Kind::Update, 429, Meaning::NotSent),
            (Kind::Update, 500, Meaning::Unknown),
            (Kind::Update, 503, Meaning::NotSent),
        ];
        for (kind, status, expected) in cases {
            let meaning = declared(&said, status).unwrap_or_else(|| usual(kind, status));
            assert_eq!(meaning, expected, "{kind:?} {status}");
        }
        assert_eq!(usual(Kind::Create, 409), Meaning::Exists);
    }
}
