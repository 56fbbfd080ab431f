//! The set as text for the record: gzip, then base64.

use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::Value;

/// No set is larger than etcd's default limit on a request.
const LONGEST: u64 = 8 << 20;

/// Why a snapshot cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// it is not base64
    #[error("the snapshot is not base64")]
    Base64(#[from] base64::DecodeError),
    /// it is not gzip
    #[error("the snapshot is not gzip")]
    Gzip(#[from] std::io::Error),
    /// it is not JSON
    #[error("the snapshot is not JSON")]
    Json(#[from] serde_json::Error),
}

/// Encodes a set.
///
/// # Errors
/// None that memory does not cause.
pub fn encode(set: &Value) -> Result<String, SnapshotError> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(set.to_string().as_bytes())?;
    Ok(STANDARD.encode(gzip.finish()?))
}

/// Decodes a set.
///
/// # Errors
/// The text is not what [`encode`] gave.
pub fn decode(text: &str) -> Result<Value, SnapshotError> {
    let gzip = STANDARD.decode(text)?;
    let mut json = Vec::new();
    GzDecoder::new(gzip.as_slice()).take(LONGEST).read_to_end(&mut json)?;
    Ok(serde_json::from_slice(&json)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_set_comes_back_as_it_was() {
        let set = json!({"metadata": {"name": "db", "managedFields": [{"manager": "helm"}]}});
        assert_eq!(decode(&encode(&set).unwrap()).unwrap(), set);
    }

    #[test]
    fn what_is_damaged_is_an_error() {
        let text = encode(&json!({"a": 1})).unwrap();
        assert!(matches!(decode("?"), Err(SnapshotError::Base64(_))));
        assert!(matches!(decode("AAAA"), Err(SnapshotError::Gzip(_))));
        assert!(decode(&text[..text.len() - 8]).is_err());
    }
}
