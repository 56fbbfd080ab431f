//! What the policy file says of each rule.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::file::Help;
use crate::nearest;
use crate::rules::{self, Action, RULES};

/// Settings per rule; every name has been checked.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RuleSettings(pub BTreeMap<&'static str, RuleSetting>);

/// What the file says of one rule: an action alone, or a mapping.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct RuleSetting {
    /// What is done about its findings.
    pub action: Option<Action>,
    /// Parameters of the rule.
    pub params: Option<Value>,
    /// Printed at the end of its denials instead of the general help.
    pub help: Option<Help>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct LongRuleSetting {
    #[serde(default, deserialize_with = "action")]
    action: Option<Action>,
    #[serde(default)]
    params: Option<Value>,
    #[serde(default)]
    help: Option<Help>,
}

/// Reads the name of a rule, so that an unknown one is an error at its own place.
struct RuleId(&'static str);

impl<'de> Deserialize<'de> for RuleId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if let Some(entry) = rules::by_id(&name) {
            return Ok(Self(entry.meta.id));
        }
        let known: Vec<&str> = RULES.iter().map(|entry| entry.meta.id).collect();
        let hint = nearest::hint(&name, &known);
        Err(de::Error::custom(format!("{NO_RULE}\"{name}\"{hint}")))
    }
}

/// How an error begins that is about the name of a rule.
pub(super) const NO_RULE: &str = "there is no rule ";

/// An action as YAML 1.1 holds it, where a bare `off` is the boolean false.
fn action<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Action>, D::Error> {
    struct ActionVisitor;

    impl Visitor<'_> for ActionVisitor {
        type Value = Option<Action>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("deny, warn or off")
        }

        fn visit_str<E: de::Error>(self, v: &str) -> Result<Option<Action>, E> {
            match Action::from_name(v) {
                Some(action) => Ok(Some(action)),
                None => Err(E::invalid_value(de::Unexpected::Str(v), &self)),
            }
        }

        fn visit_bool<E: de::Error>(self, v: bool) -> Result<Option<Action>, E> {
            if v {
                Err(E::invalid_type(de::Unexpected::Bool(v), &self))
            } else {
                Ok(Some(Action::Off))
            }
        }

        fn visit_unit<E: de::Error>(self) -> Result<Option<Action>, E> {
            Ok(None)
        }
    }

    deserializer.deserialize_any(ActionVisitor)
}

impl<'de> Deserialize<'de> for RuleSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SettingVisitor;

        impl<'de> Visitor<'de> for SettingVisitor {
            type Value = RuleSetting;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("deny, warn, off, or a mapping with action, params and help")
            }

            fn visit_str<E: de::Error>(self, v: &str) -> Result<RuleSetting, E> {
                match Action::from_name(v) {
                    Some(action) => {
                        Ok(RuleSetting { action: Some(action), ..RuleSetting::default() })
                    }
                    None => Err(E::invalid_value(de::Unexpected::Str(v), &self)),
                }
            }

            // YAML 1.1 reads a bare `off` as false.
            fn visit_bool<E: de::Error>(self, v: bool) -> Result<RuleSetting, E> {
                if v {
                    return Err(E::invalid_type(de::Unexpected::Bool(v), &self));
                }
                self.visit_str("off")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RuleSetting, A::Error> {
                let long =
                    LongRuleSetting::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(RuleSetting { action: long.action, params: long.params, help: long.help })
            }
        }

        deserializer.deserialize_any(SettingVisitor)
    }
}

impl<'de> Deserialize<'de> for RuleSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SettingsVisitor;

        impl<'de> Visitor<'de> for SettingsVisitor {
            type Value = RuleSettings;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping from rules to settings")
            }

            fn visit_unit<E: de::Error>(self) -> Result<RuleSettings, E> {
                Ok(RuleSettings::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RuleSettings, A::Error> {
                let mut settings = BTreeMap::new();
                while let Some(RuleId(id)) = map.next_key()? {
                    settings.insert(id, map.next_value()?);
                }
                Ok(RuleSettings(settings))
            }
        }

        // A key whose entries are all commented out holds null.
        deserializer.deserialize_any(SettingsVisitor)
    }
}

impl JsonSchema for RuleSettings {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RuleSettings".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let action = generator.subschema_for::<Action>();
        let help = generator.subschema_for::<Help>();
        let off = serde_json::json!({"const": false, "description": "off, as YAML 1.1 reads it"});
        let mut properties = serde_json::Map::new();
        for entry in RULES {
            let mut params = Value::from((entry.schema)());
            if let Some(schema) = params.as_object_mut() {
                schema.remove("$schema");
                schema.remove("title");
            }
            properties.insert(
                entry.meta.id.to_owned(),
                serde_json::json!({
                    "description": entry.meta.title,
                    "anyOf": [action, off, {
                        "type": "object",
                        "properties": {
                            "action": {"anyOf": [action, off]},
                            "params": params,
                            "help": help
                        },
                        "additionalProperties": false
                    }]
                }),
            );
        }
        schemars::json_schema!({
            "type": "object",
            "properties": properties,
            "additionalProperties": false
        })
    }
}
