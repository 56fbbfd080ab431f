//! The page of an audit: one file of HTML that loads nothing.

use super::Audit;

const PAGE: &str = include_str!("page.html");
/// Where the JSON of the audit goes.
const PLACE: &str = "null /* the audit */";

/// The page of an audit.
///
/// # Errors
/// None in practice: every audit has a JSON form.
pub fn page(audit: &Audit<'_>) -> Result<String, serde_json::Error> {
    // Names come from the cluster: none of them may end the script element.
    let json = serde_json::to_string(audit)?.replace('<', "\\u003c");
    Ok(PAGE.replacen(PLACE, &json, 1))
}
