//! What happens in a seed, line by line, for whoever looks into one.

use std::sync::atomic::{AtomicBool, Ordering};

static IS_ON: AtomicBool = AtomicBool::new(false);

/// From now on everything is told.
pub fn turn_on() {
    IS_ON.store(true, Ordering::Relaxed);
}

/// Tells something, if it is to be told.
#[expect(clippy::print_stdout, reason = "whoever asked for it reads it")]
pub fn tell(line: impl FnOnce() -> String) {
    if IS_ON.load(Ordering::Relaxed) {
        println!("    {}", line());
    }
}
