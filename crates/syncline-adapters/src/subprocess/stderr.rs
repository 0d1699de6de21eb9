//! What a program says beside its messages: read to its end whatever comes, of which the last is kept.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::ChildStderr;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How much is kept.
const KEPT_BYTES: usize = 16 << 10;

/// How much of it is shown, in characters, from its end.
const SHOWN_CHARS: usize = 1500;

/// How long what was said before the end may take to arrive.
const LATE: Duration = Duration::from_millis(500);

/// The last that a program said.
pub(super) struct Tail {
    kept: Arc<Mutex<Kept>>,
    reading: JoinHandle<()>,
}

#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    /// Whether the line that comes in is one whose beginning was dropped.
    is_cut: bool,
}

impl Tail {
    /// Begins to read, in the background.
    pub(super) fn of(mut err: ChildStderr) -> Self {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let into = kept.clone();
        let reading = tokio::spawn(async move {
            let mut chunk = vec![0; 8 << 10];
            while let Ok(len @ 1..) = err.read(&mut chunk).await {
                into.lock().unwrap_or_else(PoisonError::into_inner).add(&chunk[..len]);
            }
        });
        Self { kept, reading }
    }

    /// The last lines, whole ones only, so that no secret is cut and passes for something else.
    pub(super) async fn text(&mut self) -> String {
        if !self.reading.is_finished() {
            // What has not come by then is not waited for.
            drop(timeout(LATE, &mut self.reading).await);
        }
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&kept.bytes).trim().to_owned()
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl Kept {
    fn add(&mut self, mut bytes: &[u8]) {
        if self.is_cut {
            let Some(feed) = memchr::memchr(b'\n', bytes) else { return };
            bytes = &bytes[feed + 1..];
            self.is_cut = false;
        }
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() <= KEPT_BYTES {
            return;
        }
        let surplus = self.bytes.len() - KEPT_BYTES;
        match memchr::memchr(b'\n', &self.bytes[surplus - 1..]) {
            Some(feed) => drop(self.bytes.drain(..surplus + feed)),
            None => {
                self.bytes.clear();
                self.is_cut = true;
            }
        }
    }
}

/// The end of `text`, from the beginning of a line, short enough to be shown.
pub(super) fn shown(text: &str) -> &str {
    let from = text.char_indices().rev().nth(SHOWN_CHARS).map_or(0, |(at, _)| at);
    match text[from..].find('\n') {
        Some(feed) if from > 0 => &text[from + feed + 1..],
        _ => &text[from..],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_whole_lines_are_kept() {
        let mut kept = Kept::default();
        for line in 0..5000 {
            kept.add(format!("line {line}\n").as_bytes());
            assert!(kept.bytes.len() <= KEPT_BYTES);
            assert!(kept.bytes.starts_with(b"line "));
        }
        assert!(kept.bytes.ends_with(b"line 4999\n"));
        kept.add(&vec![b'x'; KEPT_BYTES + 1]);
        kept.add(b"rest of it\nafter\n");
        assert_eq!(kept.bytes, b"after\n");
    }

    #[test]
    fn what_is_shown_is_short_and_begins_with_a_line() {
        let long: String = (0..1000).map(|line| format!("line {line}\n")).collect();
        assert!(shown(&long).starts_with("line "));
        assert!(shown(&long).chars().count() <= SHOWN_CHARS);
        assert_eq!(shown("short"), "short");
    }
}
