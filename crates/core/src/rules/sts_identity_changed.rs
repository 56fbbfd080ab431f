use std::collections::HashMap;

use super::{Findings, Judged, NoParams, Rule, remedy, system, template};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::pod::Container;
use crate::packs::Identity;
use crate::text::cut;

declare_rule! {
    /// A variable changes that names a member, and the data on its claim is another member's.
    ///
    /// ## Why
    /// Some systems write the name of a member or of the cluster into its data. A RabbitMQ node looks for the
    /// folder of its name, finds none, and starts as a new node without messages. Kafka and Cassandra compare
    /// the names and do not start.
    ///
    /// The rule knows the variables from the pack of the system, and compares their values with all
    /// `$(NAME)` replaced. If a value comes from a ConfigMap or a Secret, or a variable is added or removed,
    /// the new name may be the old one: the rule warns then. It does not see what a configuration file says.
    ///
    /// ## Way out
    /// Keep the name. For another name, create a new set and move the data as the system's documentation says.
    StsIdentityChanged {
        id: "sts-identity-changed",
        title: "members would have other names than their data",
        group: Data,
        action: Deny,
        since: "0.1.0",
        judges: [StatefulSet: [Update]],
        source: "the pack of the system",
    }
}

impl Rule for StsIdentityChanged {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some(written) = template::written(change)? else { return Ok(()) };
        let Some((old_set, _)) = written.old else { return Ok(()) };
        // The old set decides, so that an edit cannot choose by whom it is judged.
        let Some(old) = system::of(old_set, facts)? else { return Ok(()) };
        let Some(identity) = &old.pack.identity else { return Ok(()) };
        let new = system::of(written.set, facts)?.filter(|new| new.name == old.name);
        let Some(new) = new else { return Ok(()) };
        let containers = (system::container(old_set, &old)?, system::container(written.set, &new)?);
        let (Some((_, before)), Some((index, after))) = containers else { return Ok(()) };
        if !system::keeps_data(old_set, before)? {
            return Ok(());
        }
        let (was, is) = (values(identity, before), values(identity, after));
        for name in &identity.variables {
            let (was, is) = (was.get(name.as_str()), is.get(name.as_str()));
            if was == is {
                continue;
            }
            let at = template::container("containers", index);
            let place = after.env.iter().rposition(|variable| variable.name.as_str() == name);
            let at = match place {
                Some(place) => at.key("env").index(place),
                None => at.key("env"),
            };
            let title = &old.pack.title;
            // What is added, removed or read from elsewhere may give the same name.
            let sure = was.map(|value| &value.sources) == is.map(|value| &value.sources);
            let would = if sure { "would" } else { "may" };
            let finding =
                findings.add(at, format!("its members {would} have other names, {name} changes"));
            finding
                .values(was.map(|value| value.text.as_str()), is.map(|value| value.text.as_str()))
                .why(format!("{title}: {} ({})", identity.why, identity.source))
                .remedy(vec![match was {
                    Some(was) => remedy::amend(change, &format!("keep {name}: {}", was.text)),
                    None => remedy::amend(change, &format!("leave {name} out")),
                }]);
            for step in &identity.steps {
                finding.step(format!("or {step}"));
            }
            if !sure {
                finding.unsure();
            }
        }
        Ok(())
    }
}

/// What a variable holds, with references replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Value {
    /// the text; what comes from elsewhere is left as `$(NAME)`
    text: String,
    /// where its parts come from that are not in the manifest
    sources: String,
}

/// The longest value that is compared, in bytes.
const LONGEST: usize = 512;

/// The most bytes that the values of one container have together. References to long values would make
/// them far larger than the manifest.
const ALL: usize = 1 << 20;

/// The longest name of a variable that is looked up.
const NAME: usize = 256;

/// The variables that name a member, with their references replaced as the kubelet does it: by variables
/// that are written before. The last of a name counts.
fn values<'c>(identity: &Identity, container: &'c Container<'_>) -> HashMap<&'c str, Value> {
    let mut all: HashMap<&str, Value> = HashMap::new();
    let mut left = ALL;
    for variable in &container.env {
        let name = variable.name.as_str();
        let mut value = match (&variable.value, variable.value_from) {
            (_, Some(from)) => {
                let from: serde_json::Value = serde_json::from_str(from.get()).unwrap_or_default();
                Value { text: format!("$({name})"), sources: from.to_string() }
            }
            (Some(value), None) => replaced(value, &all),
            (None, None) => Value::default(),
        };
        value.text = cut(value.text, LONGEST);
        value.sources = cut(value.sources, LONGEST);
        match left.checked_sub(value.text.len() + value.sources.len()) {
            Some(rest) => left = rest,
            None => break,
        }
        all.insert(name, value);
    }
    all.retain(|name, _| identity.variables.iter().any(|known| known == name));
    all
}

/// The text with each `$(NAME)` replaced, if the variable is known. `$$` stands for `$`.
fn replaced(text: &str, known: &HashMap<&str, Value>) -> Value {
    let (mut value, mut rest) = (Value::default(), text);
    while let Some((before, after)) = rest.split_once('$') {
        value.text.push_str(before);
        if value.text.len() + value.sources.len() > 2 * LONGEST {
            break;
        }
        rest = after;
        if let Some(after) = rest.strip_prefix('$') {
            value.text.push('$');
            rest = after;
        } else if let Some((found, after)) = reference(rest, known) {
            value.text.push_str(&found.text);
            value.sources.push_str(&found.sources);
            rest = after;
        } else {
            value.text.push('$');
        }
    }
    value.text.push_str(rest);
    value
}

/// The variable that `text` begins with as `(NAME)`, and what follows.
fn reference<'k, 't>(
    text: &'t str,
    known: &'k HashMap<&str, Value>,
) -> Option<(&'k Value, &'t str)> {
    let inner = text.strip_prefix('(')?;
    let end = inner.bytes().take(NAME).position(|byte| byte == b')')?;
    Some((known.get(&inner[..end])?, &inner[end + 1..]))
}
