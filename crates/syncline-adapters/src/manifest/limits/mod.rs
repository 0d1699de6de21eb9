//! How fast a system may be asked: what it says of its limits, and what that comes to.

mod said;

pub(super) use said::retry_after;
