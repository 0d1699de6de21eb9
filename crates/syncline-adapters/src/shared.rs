//! What the adapters of one process share: how fast systems are asked, and where tokens are kept.

use crate::Usage;
use crate::manifest::Limiter;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use syncline_core::config::model::CallRate;

/// What the adapters of one tenant share in one process.
#[derive(Default)]
pub struct Shared {
    limiters: Mutex<HashMap<String, Arc<Limiter>>>,
    /// The limits of the tenant, over all of its connections.
    tenant: Option<Arc<Limiter>>,
    tokens: OnceLock<PathBuf>,
}

impl Shared {
    /// For a tenant whose connections together may be asked no more than this.
    pub fn new(limits: &[CallRate]) -> Self {
        let tenant = (!limits.is_empty()).then(|| Arc::new(Limiter::of_tenant(limits)));
        Self { tenant, ..Self::default() }
    }

    /// Keeps the tokens of connections in `folder`, a file for each. Without, they last as long as the process.
    pub fn keep_tokens_in(&self, folder: PathBuf) {
        // Whoever comes second finds the folder of the same store.
        drop(self.tokens.set(folder));
    }

    /// Where tokens are kept.
    pub(crate) fn tokens(&self) -> Option<&PathBuf> {
        self.tokens.get()
    }

    pub(crate) fn tenant(&self) -> Option<Arc<Limiter>> {
        self.tenant.clone()
    }

    fn limiters(&self) -> MutexGuard<'_, HashMap<String, Arc<Limiter>>> {
        self.limiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The limiter of a connection, made with the first one who asks.
    pub(crate) fn limiter(&self, name: &str, make: impl FnOnce() -> Limiter) -> Arc<Limiter> {
        let mut limiters = self.limiters();
        limiters.entry(name.to_owned()).or_insert_with(|| Arc::new(make())).clone()
    }

    /// What the connection `name` has been asked so far; nothing where its requests are not counted.
    pub fn usage(&self, name: &str) -> Usage {
        self.limiters().get(name).map(|limiter| limiter.usage()).unwrap_or_default()
    }
}
