//! The envelope of a review on the wire.

use serde::Deserialize;

use crate::change::Pair;
use crate::object::json::null_default;
use crate::object::walk::{Members, Walk};
use crate::object::{Outline, Raw, Text};

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
}

impl<'a> Envelope<'a> {
    /// Reads an envelope, and the outlines of both objects where they are plain JSON, as the API
    /// server writes it.
    pub(super) fn read(text: &'a str) -> serde_json::Result<(Self, Pair<Outline<'a>>)> {
        match walk(text) {
            Some(walked) => Ok(walked),
            None => Ok((serde_json::from_str(text)?, Pair { old: None, new: None })),
        }
    }
}

/// Passes over the bytes once; over those of the second object only where they differ.
fn walk(text: &str) -> Option<(Envelope<'_>, Pair<Outline<'_>>)> {
    let mut walk = Walk::new(text);
    let mut members = Members::begin(&mut walk)?;
    let mut outlines = Pair { old: None, new: None };
    let mut request = None;
    while let Some(key) = members.key(&mut walk)? {
        let value = if key == "request" {
            request.insert(walk_request(&mut walk, &mut outlines)?).text()
        } else {
            walk.value()?
        };
        members.push(key, value);
    }
    let text = |key| members.get(key).map_or_else(|| Some(Text::default()), Text::plain);
    let envelope = Envelope {
        api_version: text("apiVersion")?,
        kind: text("kind")?,
        request: Some(Request::from_members(&request?)?),
    };
    walk.is_done().then_some((envelope, outlines))
}

fn walk_request<'a>(walk: &mut Walk<'a>, outlines: &mut Pair<Outline<'a>>) -> Option<Members<'a>> {
    let mut members = Members::begin(walk)?;
    while let Some(key) = members.key(walk)? {
        let (outline, like) = match key {
            "object" => (&mut outlines.new, outlines.old.as_ref()),
            "oldObject" => (&mut outlines.old, outlines.new.as_ref()),
            _ => (&mut None, None),
        };
        let value = if matches!(key, "object" | "oldObject") && walk.peek() == Some(b'{') {
            outline.insert(Outline::read(walk, like)?).text()
        } else {
            walk.value()?
        };
        members.push(key, value);
    }
    Some(members)
}

impl<'a> Request<'a> {
    /// `None` where a member does not fit; serde then says which.
    fn from_members(members: &Members<'a>) -> Option<Self> {
        fn read<'a, T: Deserialize<'a> + Default>(members: &Members<'a>, key: &str) -> Option<T> {
            let raw = members.raw(key).map(Raw::get);
            raw.map_or_else(|| Some(T::default()), |raw| serde_json::from_str(raw).ok())
        }
        let text = |key| members.get(key).map_or_else(|| Some(Text::default()), Text::plain);
        Some(Self {
            uid: text("uid")?,
            kind: read(members, "kind")?,
            resource: read(members, "resource")?,
            sub_resource: text("subResource")?,
            namespace: text("namespace")?,
            operation: text("operation")?,
            user_info: read(members, "userInfo")?,
            object: members.raw("object"),
            old_object: members.raw("oldObject"),
            dry_run: read(members, "dryRun")?,
            options: read(members, "options")?,
        })
    }
}
