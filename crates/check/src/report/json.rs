//! The stable format for programs.
//!
//! ```json
//! {
//!   "version": 1,
//!   "findings": [{
//!     "rule": "…",
//!     "outcome": "deny | warn | error",
//!     "operation": "CREATE | UPDATE | DELETE",
//!     "object": {"apiVersion": "…", "kind": "…", "namespace": "…", "name": "…"},
//!     "field": "JSON pointer",
//!     "old": {"value": "… | null", "file": "…", "line": 1, "column": 1, "template": "… | null"},
//!     "new": {…},
//!     "message": "…",
//!     "why": "…",
//!     "loss": {"claims": [{"name": "…", "size": "… | null", "class": "…", "volume": "…",
//!       "fate": "destroyed | unknown | retained | noVolume", "pods": ["…"],
//!       "snapshot": {"name": "…", "taken": "RFC 3339"}}], "snapshotsKnown": true, "unknown": ["…"]},
//!     "remedy": [{"text": "…", "command": "… | null"}],
//!     "causes": [{"field": "…", "message": "…"}],
//!     "refusedBy": "kubernetes | policy | null",
//!     "help": "… | null",
//!     "howToAllow": "… | null"
//!   }],
//!   "notJudged": [{"rule": "…", "object": {…}, "needs": "…", "file": "…", "line": 1}],
//!   "errors": [{"file": "…", "line": 1, "column": 1, "message": "…"}],
//!   "summary": {"objects": 0, "skipped": 0, "deny": 0, "warn": 0, "error": 0, "notJudged": 0,
//!     "removed": 0, "leftOut": 0},
//!   "judged": [{"operation": "…", "object": {…}, "file": "…", "line": 1,
//!     "exemption": "… | null", "allowed": ["…"]}],
//!   "removed": [{"object": {…}, "file": "…", "line": 1}],
//!   "ignored": [{"object": {…}, "file": "…", "line": 1}],
//!   "notices": [{"level": "warning | note", "file": "…", "line": 1, "column": 1, "message": "…"}]
//! }
//! ```
//!
//! `old` and `new` are null where there is no such side, and `loss` and `snapshot` where nothing is
//! known of one. Fields are only ever added. Findings and
//! errors stand in the order of files, then lines.

use super::{CheckReport, RenderError};

/// The report as indented JSON.
///
/// # Errors
/// The serialiser failed; no report is known that makes it fail.
pub fn render(report: &CheckReport) -> Result<String, RenderError> {
    let mut text = serde_json::to_string_pretty(report)?;
    text.push('\n');
    Ok(text)
}
