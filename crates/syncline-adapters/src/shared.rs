//! What the adapters of one process share: how fast systems are asked, and where is kept what outlasts the process.

use crate::Usage;
use crate::kept::{KeptFile, file_stem};
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
    folder: OnceLock<PathBuf>,
}

impl Shared {
    /// For a tenant whose connections together may be asked no more than this.
    pub fn new(limits: &[CallRate]) -> Self {
        let tenant = (!limits.is_empty()).then(|| Arc::new(Limiter::of_tenant(limits)));
        Self { tenant, ..Self::default() }
    }

    /// Keeps tokens, changed configurations and rates of connections in `folder`, in files of their own: so all
    /// processes that name this folder share them. Without, they last as long as the process.
    pub fn keep_in(&self, folder: PathBuf) {
        // Whoever comes second finds the folder of the same store.
        drop(self.folder.set(folder));
    }

    /// What is kept of the connection `name`; `None` where nothing is.
    pub(crate) fn kept(&self, name: &str) -> Option<KeptFile> {
        let folder = self.folder.get().filter(|_| !name.is_empty());
        folder.map(|folder| KeptFile::new(folder, name))
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
        let make = || {
            let limiter = make();
            if let Some(folder) = self.folder.get().filter(|_| !name.is_empty()) {
                limiter.share(folder.join(format!("{}.rates", file_stem(name))));
                // No connection's file begins with a dot.
                self.tenant.iter().for_each(|tenant| tenant.share(folder.join(".tenant.rates")));
            }
            Arc::new(limiter)
        };
        limiters.entry(name.to_owned()).or_insert_with(make).clone()
    }

    /// What the connection `name` has been asked so far; nothing where its requests are not counted.
    pub fn usage(&self, name: &str) -> Usage {
        self.limiters().get(name).map(|limiter| limiter.usage()).unwrap_or_default()
    }
}
