//! The envelope of a review on the wire.

use serde::Deserialize;

use crate::object::json::null_default;
use crate::object::{Raw, Text};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Envelope<'a> {
    #[serde(borrow, default)]
    pub(super) api_version: Text<'a>,
    #[serde(borrow, default)]
    pub(super) kind: Text<'a>,
    #[serde(borrow, default)]
    pub(super) request: Option<Request<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Request<'a> {
    #[serde(borrow)]
    pub(super) uid: Text<'a>,
    #[serde(borrow, deserialize_with = "null_default")]
    pub(super) kind: GroupVersionKind<'a>,
    #[serde(borrow, deserialize_with = "null_default")]
    pub(super) resource: GroupVersionResource<'a>,
    #[serde(borrow)]
    pub(super) sub_resource: Text<'a>,
    #[serde(borrow)]
    pub(super) namespace: Text<'a>,
    #[serde(borrow)]
    pub(super) operation: Text<'a>,
    #[serde(borrow, deserialize_with = "null_default")]
    pub(super) user_info: UserInfo<'a>,
    #[serde(borrow)]
    pub(super) object: Option<Raw<'a>>,
    #[serde(borrow)]
    pub(super) old_object: Option<Raw<'a>>,
    #[serde(deserialize_with = "null_default")]
    pub(super) dry_run: bool,
    #[serde(borrow, deserialize_with = "null_default")]
    pub(super) options: Options<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct GroupVersionKind<'a> {
    #[serde(borrow)]
    pub(super) group: Text<'a>,
    #[serde(borrow)]
    pub(super) version: Text<'a>,
    #[serde(borrow)]
    pub(super) kind: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct GroupVersionResource<'a> {
    #[serde(borrow)]
    pub(super) resource: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct UserInfo<'a> {
    #[serde(borrow)]
    pub(super) username: Text<'a>,
    #[serde(borrow, deserialize_with = "null_default")]
    pub(super) groups: Vec<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Options<'a> {
    #[serde(borrow)]
    pub(super) field_manager: Text<'a>,
    #[serde(borrow)]
    pub(super) propagation_policy: Option<Text<'a>>,
    pub(super) orphan_dependents: Option<bool>,
}
