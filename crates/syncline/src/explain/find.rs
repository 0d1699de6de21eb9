//! Finding a shard by its id, or the beginning of it.

use super::uuid;
use crate::error::Error;
use syncline_core::plan::rows::ShardRow;
use syncline_store::Store;

/// A shard that was asked for by its id.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The shard; never one that was merged into another.
    pub shard: ShardRow,
    /// The id of the shard that was asked for, where that one was merged into this.
    pub redirected_from: Option<String>,
}

/// Finds the shard whose id starts with `id`, and goes on to the shard that it was merged into.
///
/// # Errors
///
/// When there is none, or more than one, or the store cannot be read.
pub async fn find(store: &dyn Store, id: &str) -> Result<Found, Error> {
    let digits: String = id.trim().chars().filter(|c| *c != '-').collect();
    let digits = digits.to_ascii_lowercase();
    let is_id =
        !digits.is_empty() && digits.len() <= 32 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_id {
        let message = format!("`{id}` is no shard id");
        let hint = "an id has hexadecimal digits, such as 0199f3c2-7b1e; search by a field with \
                    `syncline shards list --where email=ann@example.com`";
        return Err(Error::usage(message, hint));
    }
    let mut rows = store.shards_by_id(&digits).await?;
    if let [a, b] = rows.as_slice() {
        let message = format!("`{id}` could be `{}`, `{}` or others", uuid(a.uuid), uuid(b.uuid));
        return Err(Error::refused(message, "give more digits of the id"));
    }
    let Some(asked) = rows.pop() else {
        let hint = "`syncline shards list` shows what there is; `--where field=value` searches";
        return Err(Error::refused(format!("there is no shard `{id}`"), hint));
    };
    let asked_id = asked.uuid;
    let mut shard = asked;
    // Merges never form a ring; the bound keeps a damaged store from holding us for ever.
    for _ in 0..10_000 {
        let Some(into) = shard.merged_into else { break };
        let Some(next) = store.shards_by_row(vec![into]).await?.pop() else { break };
        shard = next;
    }
    let redirected_from = (shard.uuid != asked_id).then(|| uuid(asked_id));
    Ok(Found { shard, redirected_from })
}
