//! JSON Lines: an object in each line; blank lines are skipped.

use super::lines::{self, Line};
use super::object::ObjectReader;
use super::settings::Settings;
use super::window::{Fault, Window};
use crate::page::PageBuilder;

/// Reads JSON Lines.
pub(super) struct JsonlRows {
    pub(super) window: Window,
    objects: ObjectReader,
    line_bytes_max: usize,
}

impl JsonlRows {
    /// Reads from where `window` stands.
    pub(super) fn new(window: Window, settings: &Settings) -> Self {
        Self {
            window,
            objects: ObjectReader::new(settings),
            line_bytes_max: settings.line_bytes_max,
        }
    }

    /// Reads one more line; false at the end.
    pub(super) fn next(&mut self, page: &mut PageBuilder) -> Result<bool, Fault> {
        let line = self.window.line();
        match lines::find(&mut self.window, self.line_bytes_max)? {
            Line::End => return Ok(false),
            Line::Long => {
                let head = lines::skip(&mut self.window)?;
                page.reject(line, &head, lines::too_long(self.line_bytes_max));
            }
            Line::Whole { len, ended } => {
                let text = self.window.available()[..len].trim_ascii();
                if !text.is_empty() {
                    self.objects.read(text, line, page);
                }
                if ended {
                    self.window.consume(len + 1, 1);
                } else {
                    self.window.pin();
                    self.window.consume(len, 0);
                }
            }
        }
        Ok(true)
    }
}
