//! Ctrl-C and its kin: the first asks for a stop at the next batch border, the second stops at once.

use crate::error::Exit;
use crate::output::Output;
use tokio_util::sync::CancellationToken;

/// Listens for Ctrl-C (and a request to terminate). The token is cancelled by the first; the second ends the
/// process, and what was not committed yet is read again by the next run.
pub(crate) fn cancel_on_signal(out: &Output) -> CancellationToken {
    let token = CancellationToken::new();
    let (asked, out) = (token.clone(), out.clone());
    tokio::spawn(async move {
        if next_signal().await {
            asked.cancel();
            if !out.quiet {
                out.warn("stopping at the next batch border; once more stops at once");
            }
        }
        if next_signal().await {
            std::process::exit(Exit::Interrupted.code().into());
        }
    });
    token
}

/// Waits for a signal. `false` where none can be listened for.
#[cfg(unix)]
async fn next_signal() -> bool {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return tokio::signal::ctrl_c().await.is_ok();
    };
    tokio::select! {
        interrupt = tokio::signal::ctrl_c() => interrupt.is_ok(),
        terminated = terminate.recv() => terminated.is_some(),
    }
}

/// Waits for a signal. `false` where none can be listened for.
#[cfg(not(unix))]
async fn next_signal() -> bool {
    tokio::signal::ctrl_c().await.is_ok()
}
