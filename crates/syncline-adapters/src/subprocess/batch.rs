//! Records that a program gives in files beside its messages (Singer's `BATCH`): JSON Lines, packed with gzip or not
//! (<https://sdk.meltano.com/en/latest/batch.html>).

use super::lines::{Numbered, pump};
use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use tokio::sync::mpsc;

/// The files of one message, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    files: Vec<PathBuf>,
    is_packed: bool,
}

/// How the files are written.
#[derive(Debug, Deserialize)]
pub(super) struct Encoding {
    format: String,
    compression: Option<String>,
}

impl Batch {
    /// The batch of `files`, each a `file://` address.
    ///
    /// # Errors
    ///
    /// Why they cannot be read, for people.
    pub(super) fn new(encoding: &Encoding, files: &[String]) -> Result<Self, String> {
        let is_packed = match (encoding.format.as_str(), encoding.compression.as_deref()) {
            ("jsonl", None | Some("none")) => false,
            ("jsonl", Some("gzip")) => true,
            (format, compression) => {
                let packed = compression.map(|name| format!(", packed with {name}"));
                return Err(format!(
                    "gives its records in files (BATCH) of the format {format}{}, of which only jsonl is read, \
                     packed with gzip or not; set the `batch_config` in its `config` so",
                    packed.unwrap_or_default()
                ));
            }
        };
        let path = |address: &String| {
            let path = reqwest::Url::parse(address).ok().filter(|url| url.scheme() == "file");
            path.and_then(|url| url.to_file_path().ok()).ok_or_else(|| {
                format!("gives its records in a file (BATCH) at `{address}`, which is not on this machine")
            })
        };
        Ok(Self { files: files.iter().map(path).collect::<Result<_, _>>()?, is_packed })
    }

    /// The lines of the files, some at a time, read by a thread of their own. The last message says why not all of
    /// them came.
    pub(super) fn lines(
        self,
        line_bytes_max: usize,
    ) -> mpsc::Receiver<Result<Vec<Numbered>, String>> {
        let (sender, receiver) = mpsc::channel(1);
        tokio::task::spawn_blocking(move || {
            for path in &self.files {
                let sent = self.read(path, line_bytes_max, &sender);
                if let Err(error) = sent {
                    let problem = format!(
                        "gives a file (BATCH) that cannot be read: {}: {error}",
                        path.display()
                    );
                    // Whoever does not listen any more needs no reason.
                    drop(sender.blocking_send(Err(problem)));
                    return;
                }
                if sender.is_closed() {
                    return;
                }
            }
        });
        receiver
    }

    fn read(
        &self,
        path: &std::path::Path,
        line_bytes_max: usize,
        sender: &mpsc::Sender<Result<Vec<Numbered>, String>>,
    ) -> io::Result<()> {
        let file = File::open(path)?;
        let input: Box<dyn Read> =
            if self.is_packed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
        let mut problem = None;
        pump(input, line_bytes_max, |lines| {
            if lines.iter().any(|line| line.is_long) {
                problem = Some(format!(
                    "a line is longer than {line_bytes_max} bytes (`line_bytes_max`)"
                ));
                return false;
            }
            sender.blocking_send(Ok(lines)).is_ok()
        })?;
        problem.map_or(Ok(()), |problem| Err(io::Error::other(problem)))
    }
}
