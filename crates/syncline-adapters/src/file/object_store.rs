//! Files in S3-compatible object stores: `s3://bucket/key`, where the key may be a glob.

use super::settings::Settings;
use super::source::Stat;
use crate::AdapterError;
use futures_util::{StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{Error, GetOptions, ObjectMeta, ObjectStore};
use std::io::{self, Cursor, Read};
use std::sync::Arc;
use tokio::runtime::Handle;

/// One object, as it was when it was listed.
pub(super) struct Object {
    store: Arc<AmazonS3>,
    runtime: Handle,
    bucket: String,
    meta: ObjectMeta,
}

/// Lists the objects that the settings' address means, sorted by name. Must run where the runtime
/// allows blocking.
pub(super) fn list(settings: &Settings) -> Result<Vec<Object>, AdapterError> {
    let refused = |problem: &str| AdapterError::Refused {
        what: settings.path.clone(),
        problem: problem.to_owned(),
    };
    let address = settings.path.strip_prefix("s3://").unwrap_or_default();
    let (bucket, key) = address
        .split_once('/')
        .filter(|(bucket, key)| !bucket.is_empty() && !key.is_empty())
        .ok_or_else(|| refused("an address is `s3://bucket/key`"))?;
    let store = Arc::new(store(settings, bucket)?);
    let runtime = Handle::current();
    let metas = if settings.is_glob() {
        let pattern = glob::Pattern::new(key).map_err(|error| {
            AdapterError::Settings(format!("`{}` is no glob: {}", settings.path, error.msg))
        })?;
        runtime.block_on(matching(&store, &pattern, key))
    } else {
        let path = Path::parse(key).map_err(|error| refused(&error.to_string()))?;
        let options = GetOptions { head: true, ..GetOptions::default() };
        runtime.block_on(store.get_opts(&path, options)).map(|found| vec![found.meta])
    };
    let mut metas = metas.map_err(|error| failure(&settings.path, &error))?;
    if metas.is_empty() {
        return Err(refused("no object matches"));
    }
    metas.sort_by(|a, b| a.location.as_ref().cmp(b.location.as_ref()));
    let object = |meta| Object {
        store: store.clone(),
        runtime: runtime.clone(),
        bucket: bucket.to_owned(),
        meta,
    };
    Ok(metas.into_iter().map(object).collect())
}

fn store(settings: &Settings, bucket: &str) -> Result<AmazonS3, AdapterError> {
    let wrong = |problem: String| AdapterError::Settings(format!("`object_store`: {problem}"));
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // An error only says that somebody else was faster, which is just as good.
        drop(rustls::crypto::ring::default_provider().install_default());
    }
    let mut builder = AmazonS3Builder::new().with_bucket_name(bucket);
    for (key, value) in &settings.object_store {
        builder = match key.as_str() {
            "endpoint" => builder.with_endpoint(value),
            "region" => builder.with_region(value),
            "access_key_id" => builder.with_access_key_id(value),
            "secret_access_key" => builder.with_secret_access_key(value),
            "allow_http" => match value.as_str() {
                "true" => builder.with_allow_http(true),
                "false" => builder.with_allow_http(false),
                _ => return Err(wrong("`allow_http` must be true or false".to_owned())),
            },
            other => {
                return Err(wrong(format!(
                    "there is no setting `{other}`; known are endpoint, region, access_key_id, \
                     secret_access_key, allow_http"
                )));
            }
        };
    }
    builder.build().map_err(|error| wrong(error.to_string()))
}

async fn matching(
    store: &AmazonS3,
    pattern: &glob::Pattern,
    key: &str,
) -> Result<Vec<ObjectMeta>, Error> {
    let literal = key.split(['*', '?', '[']).next().unwrap_or_default();
    let folder = literal.rsplit_once('/').map(|(folder, _)| Path::from(folder));
    let options = glob::MatchOptions { require_literal_separator: true, ..Default::default() };
    store
        .list(folder.as_ref())
        .try_filter(|meta| {
            let matches = pattern.matches_with(meta.location.as_ref(), options);
            std::future::ready(matches)
        })
        .try_collect()
        .await
}

fn failure(what: &str, error: &Error) -> AdapterError {
    let what = what.to_owned();
    match error {
        Error::NotFound { .. } => {
            AdapterError::Refused { what, problem: "there is no such object".to_owned() }
        }
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => AdapterError::Refused {
            what,
            problem: "the object store refuses these credentials".to_owned(),
        },
        other => {
            AdapterError::Unavailable { what, problem: other.to_string(), retry_after_ms: None }
        }
    }
}

impl Object {
    /// Its address.
    pub(super) fn name(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.meta.location)
    }

    /// What it was when it was listed.
    pub(super) fn stat(&self) -> Stat {
        stat_of(&self.meta)
    }

    /// Opens the object; its bytes are fetched as they are read.
    pub(super) fn open(&self) -> Result<(impl Read + Send + 'static, Stat), AdapterError> {
        let get = self.store.get_opts(&self.meta.location, GetOptions::default());
        let found = self.runtime.block_on(get).map_err(|error| failure(&self.name(), &error))?;
        let stat = stat_of(&found.meta);
        let chunks = found.into_stream().map(|chunk| chunk.map_err(io::Error::other)).boxed();
        Ok((Chunks { chunks, runtime: self.runtime.clone(), chunk: Cursor::default() }, stat))
    }
}

fn stat_of(meta: &ObjectMeta) -> Stat {
    Stat {
        size: meta.size,
        // Whole seconds: some stores list milliseconds that they do not tell for the single object.
        modified: meta.last_modified.timestamp().saturating_mul(1_000_000_000),
        tag: meta.e_tag.clone(),
    }
}

/// A stream of chunks as something to read from where blocking is allowed.
struct Chunks<S> {
    chunks: S,
    runtime: Handle,
    chunk: Cursor<Vec<u8>>,
}

impl<S, B> Read for Chunks<S>
where
    S: futures_util::Stream<Item = io::Result<B>> + Unpin,
    B: AsRef<[u8]>,
{
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.chunk.read(out)?;
            if count > 0 || out.is_empty() {
                return Ok(count);
            }
            match self.runtime.block_on(self.chunks.next()) {
                Some(chunk) => self.chunk = Cursor::new(chunk?.as_ref().to_vec()),
                None => return Ok(0),
            }
        }
    }
}
