//! The lines that `stateward serve` logs about denials and warnings.

use std::io::BufRead;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A denial, what audit mode would have denied, or a warning.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(in crate::cli) struct Denial {
    pub(in crate::cli) timestamp: Timestamp,
    message: What,
    pub(in crate::cli) rule: String,
    pub(in crate::cli) object: String,
    pub(in crate::cli) namespace: String,
    pub(in crate::cli) user: String,
    #[serde(default)]
    field: String,
    #[serde(default)]
    pub(in crate::cli) reason: String,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
enum What {
    #[serde(rename = "denied")]
    Denied,
    #[serde(rename = "would be denied")]
    Audited,
    #[serde(rename = "warned")]
    Warned,
}

impl Denial {
    pub(in crate::cli) fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    pub(in crate::cli) fn is_audited(&self) -> bool {
        self.message == What::Audited
    }
}

/// What a log holds.
#[derive(Debug, Default)]
pub(in crate::cli) struct Log {
    /// within the time that was asked for, in the order of the log
    pub(in crate::cli) denials: Vec<Denial>,
    /// the warnings within that time
    pub(in crate::cli) warnings: Vec<Denial>,
    /// the first and last moment of any line within that time
    pub(in crate::cli) span: Option<(Timestamp, Timestamp)>,
    /// lines that are not JSON
    pub(in crate::cli) foreign: usize,
}

impl Log {
    /// Adds the lines of `input` since a moment. What stands before a line's first brace, such as
    /// the name of a pod, is passed over.
    pub(in crate::cli) fn read(
        &mut self,
        mut input: impl BufRead,
        since: Timestamp,
    ) -> std::io::Result<()> {
        #[derive(Deserialize)]
        struct Line {
            timestamp: Timestamp,
        }
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            if input.read_until(b'\n', &mut bytes)? == 0 {
                return Ok(());
            }
            let text = String::from_utf8_lossy(&bytes);
            let text = text.find('{').map_or("", |start| &text[start..]);
            let Ok(Line { timestamp }) = serde_json::from_str(text) else {
                self.foreign += usize::from(!bytes.trim_ascii().is_empty());
                continue;
            };
            if timestamp < since {
                continue;
            }
            let (first, last) = self.span.unwrap_or((timestamp, timestamp));
            self.span = Some((first.min(timestamp), last.max(timestamp)));
            let Ok(denial) = serde_json::from_str::<Denial>(text) else { continue };
            match denial.message {
                What::Warned => self.warnings.push(denial),
                What::Denied | What::Audited => self.denials.push(denial),
            }
        }
    }
}
