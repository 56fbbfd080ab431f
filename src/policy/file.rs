//! The policy file as it is written.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{AntiAffinity, ClaimTemplateMetadata, Mode, OnError, Resize};
use crate::nearest;
use crate::rules::{self, Action, RULES};

/// Why a policy file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct PolicyError {
    /// from 1; 0 where no place is known
    pub line: usize,
    /// from 1; 0 where no place is known
    pub column: usize,
    /// what is wrong, with the nearest known name
    pub message: String,
}

/// `stateward.yaml`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(title = "stateward.yaml", description = "Policy of stateward")]
pub struct PolicyFile {
    /// Version of this format: 1.
    pub version: Version,
    /// `enforce`, or `audit`: deny nothing and patch nothing, say what would have been done.
    #[serde(default)]
    pub mode: Mode,
    /// What becomes of an edit that grows a claim template. Default: reject; `serve --dev`
    /// orchestrates.
    #[serde(default)]
    pub resize: Option<Resize>,
    /// Which anti-affinity a new set is given when it has no answer of its own.
    #[serde(default)]
    pub anti_affinity: AntiAffinity,
    /// What becomes of an edit to labels and annotations of claim templates.
    #[serde(default)]
    pub claim_template_metadata: ClaimTemplateMetadata,
    /// Whether annotations may relax the policy (`resize: ignore`, `allow`, `anti-affinity: none`).
    /// Default: true.
    #[serde(default)]
    pub overrides: Option<bool>,
    /// What is answered where a review could not be judged.
    #[serde(default)]
    pub on_error: OnError,
    /// The namespace that stateward runs in, which is never judged. Default: stateward.
    #[serde(default)]
    pub own_namespace: Option<String>,
    /// Who may exempt an object with the annotation `stateward.dev/allow`. Default: everybody.
    #[serde(default)]
    pub allow: Option<Allow>,
    /// Printed at the end of every denial.
    #[serde(default)]
    pub help: Option<Help>,
    /// Action and parameters per rule.
    #[serde(default)]
    pub rules: RuleSettings,
    /// Exceptions by namespace, labels and kind, in order: the last match wins per rule.
    #[serde(default)]
    pub scopes: Vec<Scope>,
}

/// The number 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Version(#[schemars(range(min = 1, max = 1))] u8);

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            1 => Ok(Self(1)),
            other => Err(de::Error::custom(format!(
                "version {other} is not known to this stateward, which reads version 1"
            ))),
        }
    }
}

/// Who may use the `allow` annotation.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Allow {
    /// User names.
    #[serde(default)]
    pub users: Vec<String>,
    /// Groups.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// Where people get help.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Help {
    /// A page to read.
    #[serde(default)]
    pub url: Option<String>,
    /// A person or a channel to ask.
    #[serde(default)]
    pub contact: Option<String>,
}

/// Settings for a part of the cluster.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Scope {
    /// Which objects it is about; what is left out matches all.
    #[serde(default)]
    pub r#match: Match,
    /// Action and parameters per rule.
    #[serde(default)]
    pub rules: RuleSettings,
    /// As at the top.
    #[serde(default)]
    pub resize: Option<Resize>,
    /// As at the top.
    #[serde(default)]
    pub anti_affinity: Option<AntiAffinity>,
    /// As at the top.
    #[serde(default)]
    pub claim_template_metadata: Option<ClaimTemplateMetadata>,
}

/// What a scope matches.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Match {
    /// Names of namespaces; `*` stands for any text.
    #[serde(default)]
    pub namespaces: Vec<String>,
    /// Labels that the object must carry.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Kinds: StatefulSet, PersistentVolumeClaim, Scale.
    #[serde(default)]
    pub kinds: Vec<MatchKind>,
}

/// A kind that rules judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MatchKind {
    /// apps/v1 StatefulSet
    StatefulSet,
    /// v1 PersistentVolumeClaim
    PersistentVolumeClaim,
    /// autoscaling/v1 Scale of a StatefulSet
    Scale,
}

/// Settings per rule; every name and every parameter has been checked.
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
    #[serde(default)]
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
        Err(de::Error::custom(format!("there is no rule \"{name}\"{hint}")))
    }
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
                let action = match v {
                    "deny" => Action::Deny,
                    "warn" => Action::Warn,
                    "off" => Action::Off,
                    _ => return Err(E::invalid_value(de::Unexpected::Str(v), &self)),
                };
                Ok(RuleSetting { action: Some(action), ..RuleSetting::default() })
            }

            // YAML 1.1 reads a bare `off` as false.
            fn visit_bool<E: de::Error>(self, v: bool) -> Result<RuleSetting, E> {
                if v {
                    return Err(E::invalid_value(de::Unexpected::Bool(v), &self));
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
                f.write_str("a mapping from rule to setting")
            }

            fn visit_unit<E: de::Error>(self) -> Result<RuleSettings, E> {
                Ok(RuleSettings::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RuleSettings, A::Error> {
                let mut settings = BTreeMap::new();
                while let Some(RuleId(id)) = map.next_key()? {
                    let setting: RuleSetting = map.next_value()?;
                    if let (Some(entry), Some(params)) = (rules::by_id(id), &setting.params)
                        && let Err(error) = (entry.compile)(params.clone())
                    {
                        let text = format!("parameters of {id}: {error}");
                        return Err(de::Error::custom(text));
                    }
                    settings.insert(id, setting);
                }
                Ok(RuleSettings(settings))
            }
        }

        deserializer.deserialize_map(SettingsVisitor)
    }
}

impl JsonSchema for RuleSettings {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RuleSettings".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let action = generator.subschema_for::<Action>();
        let help = generator.subschema_for::<Help>();
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
                    "anyOf": [action, {
                        "type": "object",
                        "properties": {"action": action, "params": params, "help": help},
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

impl PolicyFile {
    /// Reads a policy file.
    ///
    /// # Errors
    /// Line, column and reason, with the nearest known name for an unknown one.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        serde_saphyr::from_str(text).map_err(|error| {
            let (line, column) = error
                .location()
                .map_or((0, 0), |location| (location.line() as usize, location.column() as usize));
            PolicyError { line, column, message: message(&error) }
        })
    }

    /// The JSON schema of the file.
    pub fn schema() -> Value {
        Value::from(schemars::schema_for!(Self))
    }
}

/// The decoder's sentence without its own "at line …", and with a hint for a misspelt word.
fn message(error: &serde_saphyr::Error) -> String {
    match error.without_snippet() {
        serde_saphyr::Error::SerdeUnknownField { field, expected, .. } => {
            format!("there is no key \"{field}\" here{}", nearest::hint(field, expected))
        }
        serde_saphyr::Error::SerdeUnknownVariant { variant, expected, .. } => {
            format!("\"{variant}\" is no value of this key{}", nearest::hint(variant, expected))
        }
        other => {
            let text = other.to_string();
            let first = text.lines().next().unwrap_or(&text);
            let sentence = first.find(" at line ").map_or(first, |end| &first[..end]);
            sentence.strip_prefix("error: ").unwrap_or(sentence).to_owned()
        }
    }
}
