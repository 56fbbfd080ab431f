//! The page of an audit: one file of HTML that loads nothing.

use std::io::{Result as IoResult, Write};

use serde::Serialize as _;
use serde_json::Serializer;
use serde_json::ser::{CompactFormatter, Formatter};

use super::Audit;

const PAGE: &str = include_str!("page.html");
/// Where the JSON of the audit goes.
const PLACE: &str = "null /* the audit */";
/// Where the page says how often it reads the audit again.
const REFRESH: &str = "const REFRESH = 0;";
/// What the page may load.
const LOADS: &str = "default-src 'none';";

/// Writes the page of an audit.
///
/// # Errors
/// It cannot be written.
pub fn write_page(audit: &Audit<'_>, mut out: impl Write) -> IoResult<()> {
    let (before, after) = PAGE.split_once(PLACE).unwrap_or((PAGE, ""));
    out.write_all(before.as_bytes())?;
    audit.serialize(&mut Serializer::with_formatter(&mut out, InScript))?;
    out.write_all(after.as_bytes())
}

/// The page of the dashboard: it holds no audit, and reads `audit.json` beside it after so many milliseconds.
pub fn live_page(refresh: u64) -> String {
    PAGE.replacen(REFRESH, &format!("const REFRESH = {refresh};"), 1).replacen(
        LOADS,
        &format!("{LOADS} connect-src 'self';"),
        1,
    )
}

/// JSON within a script element, which no name of the cluster may end.
struct InScript;

impl Formatter for InScript {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> IoResult<()> {
        for (index, part) in fragment.split('<').enumerate() {
            if index > 0 {
                out.write_all(b"\\u003c")?;
            }
            CompactFormatter.write_string_fragment(out, part)?;
        }
        Ok(())
    }
}
