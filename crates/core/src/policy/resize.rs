//! The key `resize` of the policy file: a word, or a mapping.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{self, Deserializer, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::{Authorize, Resize};

/// What the file says of growing claim templates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ResizeSetting {
    /// what becomes of an edit that grows a claim template
    pub mode: Option<Resize>,
    /// which right a request to grow needs
    pub authorize: Option<Authorize>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct LongResizeSetting {
    /// What becomes of an edit that grows a claim template. Default: reject; `serve --dev`
    /// orchestrates.
    #[serde(default)]
    mode: Option<Resize>,
    /// Which right a user needs whose edit becomes a request: `claims` to patch claims (default),
    /// `sets` none but that to edit the set.
    #[serde(default)]
    authorize: Option<Authorize>,
}

impl<'de> Deserialize<'de> for ResizeSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ResizeVisitor;

        impl<'de> Visitor<'de> for ResizeVisitor {
            type Value = ResizeSetting;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("reject, orchestrate, ignore, or a mapping with mode and authorize")
            }

            fn visit_str<E: de::Error>(self, v: &str) -> Result<ResizeSetting, E> {
                let mode = Resize::deserialize(v.into_deserializer())?;
                Ok(ResizeSetting { mode: Some(mode), authorize: None })
            }

            fn visit_unit<E: de::Error>(self) -> Result<ResizeSetting, E> {
                Ok(ResizeSetting::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ResizeSetting, A::Error> {
                let long =
                    LongResizeSetting::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(ResizeSetting { mode: long.mode, authorize: long.authorize })
            }
        }

        deserializer.deserialize_any(ResizeVisitor)
    }
}

impl JsonSchema for ResizeSetting {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ResizeSetting".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let word = generator.subschema_for::<Resize>();
        let long = generator.subschema_for::<LongResizeSetting>();
        schemars::json_schema!({"anyOf": [word, long, {"type": "null"}]})
    }
}
