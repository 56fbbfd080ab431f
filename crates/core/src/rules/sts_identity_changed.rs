use std::borrow::Cow;

use super::variables::{BUDGET, Variables, readable, sources};
use super::{Findings, Judged, NoParams, Rule, remedy, system, template};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::pod::Container;

declare_rule! {
    /// A variable that names a member or its cluster changes, and the data on the claims keeps the old name.
    ///
    /// ## Why
    /// Some systems write the name of a member or of the cluster into its data. A message broker may look for
    /// the folder of its own name, find none, and start as a new node without messages. Kafka and Cassandra
    /// compare the names and do not start.
    ///
    /// The rule knows the variables from the pack of the system, and compares their values with all
    /// `$(NAME)` replaced. If a value comes from a `ConfigMap` or a Secret, or a variable is added or removed,
    /// the new name may be the old one: the rule warns then. It does not see what a configuration file says.
    ///
    /// ## Way out
    /// Keep the name. For another name, create a new set and move the data as the system's documentation says.
    StsIdentityChanged {
        id: "sts-identity-changed",
        title: "a variable names a member differently from its data",
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
        let (was, is) = (of(before), of(after));
        for name in &identity.variables {
            let (was, is) = (was.get(name), is.get(name));
            if was == is {
                continue;
            }
            // What is added, removed or read from elsewhere may give the same name.
            let sure = was.zip(is).is_some_and(|(was, is)| sources(was).eq(sources(is)));
            let would = if sure { "would" } else { "may" };
            let (raw_was, raw_is) = (raw(before, name), raw(after, name));
            // The variable may be as before, and one that it refers to changes.
            let shown = |raw: Option<&str>, value: Option<&Cow<'_, str>>| match raw {
                Some(raw) if raw_was != raw_is => Some(raw.to_owned()),
                _ => value.map(|value| readable(value)),
            };
            let (was, is) = (shown(raw_was, was), shown(raw_is, is));
            let place = after.env.iter().rposition(|variable| variable.name.as_str() == name);
            let env = template::container("containers", index).key("env");
            let at = match place {
                Some(place) => env.index(place),
                None => env,
            };
            let finding =
                findings.add(at, format!("{name} changes, and the data {would} not match it"));
            let title = &old.pack.title;
            finding
                .values(was.as_deref(), is.as_deref())
                .why(format!("{title}: {} ({})", identity.why, identity.source))
                .remedy(vec![match &was {
                    Some(_) if raw_was == raw_is => {
                        remedy::amend(change, &format!("keep the variables that {name} refers to"))
                    }
                    Some(was) => remedy::amend(change, &format!("keep {name}: {was}")),
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

/// The variables of the container with their values.
fn of<'c>(container: &'c Container<'_>) -> Variables<'c> {
    Variables::of(container, Some(BUDGET))
}

/// The variable as it is written; the last of a name counts.
fn raw<'c>(container: &'c Container<'_>, name: &str) -> Option<&'c str> {
    let last = container.env.iter().rfind(|variable| variable.name.as_str() == name)?;
    last.value.as_deref()
}
