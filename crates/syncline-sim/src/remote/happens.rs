//! What happens at a call.

/// What happens at a call, where chance does not decide it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happens {
    /// Nothing.
    Nothing,
    /// A person sets a field right before.
    Edited {
        /// The record.
        id: String,
        /// The field.
        field: &'static str,
        /// The value.
        text: &'static str,
    },
    /// A person deletes a record right before.
    Removed {
        /// The record.
        id: String,
    },
    /// It is not answered.
    Unanswered,
    /// It takes effect, and the reply is lost.
    ReplyLost,
    /// The reply is lost, and it takes effect so many milliseconds later.
    Late(u64),
    /// The reply to each write shows the record of another one.
    Swapped,
}
