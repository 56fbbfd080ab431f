use super::{Findings, Judged, NoParams, Rule, remedy, system, template};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::pod::Container;
use crate::object::{Pointer, StatefulSet};
use crate::packs::Setting;

declare_rule! {
    /// A variable or an argument of a system loses data, or lets anybody in.
    ///
    /// ## Why
    /// Images have settings for a first try: no authentication, data in memory, one server that knows
    /// nothing of the others. The rule knows them from the pack of the system, judges new sets and edits
    /// that bring them in, and does not see what a configuration file says. Empty passwords are judged by
    /// `sts-empty-password`.
    ///
    /// ## Way out
    /// Leave the setting out.
    StsDangerousSetting {
        id: "sts-dangerous-setting",
        title: "a setting loses data or lets anybody in",
        group: Practice,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create, Update]],
        source: "the pack of the system",
    }
}

/// The place of a setting in a container.
fn find(setting: &Setting, container: &Container<'_>) -> Option<(&'static str, usize)> {
    if let Some(name) = &setting.variable {
        let place = container.env.iter().position(|variable| {
            let value = variable.value.as_deref();
            let harmful = setting.values.is_empty()
                || value.is_some_and(|value| setting.values.iter().any(|harm| harm == value));
            variable.name.as_str() == name && harmful
        });
        return place.map(|index| ("env", index));
    }
    let flag = setting.argument.as_deref()?;
    let names = |word: &str| {
        // In a script, the flag is one of its words.
        word.split_whitespace().any(|part| {
            part == flag
                || part
                    .strip_prefix(flag)
                    .is_some_and(|rest| rest.starts_with('=') && rest != "=false")
        })
    };
    let list =
        |words: &[crate::object::Text<'_>]| words.iter().position(|word| names(word.as_str()));
    list(&container.command)
        .map(|index| ("command", index))
        .or_else(|| list(&container.args).map(|index| ("args", index)))
}

fn is_there(
    setting: &Setting,
    set: &StatefulSet<'_>,
    container: &Container<'_>,
) -> Option<Pointer> {
    if setting.with_replicas && set.spec.replicas() <= 1 {
        return None;
    }
    find(setting, container).map(|(list, index)| Pointer::default().key(list).index(index))
}

impl Rule for StsDangerousSetting {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, new)) = change.written_set() else { return Ok(()) };
        let Some(known) = system::of(new, facts)? else { return Ok(()) };
        let Some((index, container)) = system::container(new, &known)? else { return Ok(()) };
        let before = match old {
            Some(old) => {
                let place = system::of(old, facts)?.and_then(|known| known.container);
                let containers = &old.template()?.spec.containers;
                place.and_then(|place| containers.get(place)).map(|container| (old, container))
            }
            None => None,
        };
        for setting in &known.pack.settings {
            let Some(place) = is_there(setting, new, container) else { continue };
            if before.is_some_and(|(set, container)| is_there(setting, set, container).is_some()) {
                continue;
            }
            let name = setting.variable.as_deref().or(setting.argument.as_deref());
            let name = name.unwrap_or_default();
            let at = format!("{}{place}", template::container("containers", index));
            findings
                .add(Pointer::from(at), format!("{name} is dangerous"))
                .why(format!("{}: {} ({})", known.pack.title, setting.why, setting.source))
                .remedy(vec![remedy::amend_template(change, &format!("leave {name} out"))]);
        }
        Ok(())
    }
}
