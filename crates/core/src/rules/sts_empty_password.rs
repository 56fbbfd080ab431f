use std::collections::BTreeSet;

use super::{Findings, Judged, NoParams, Rule, Step, remedy, template};
use crate::change::{Change, Operation};
use crate::facts::Facts;
use crate::object::pod::Container;

declare_rule! {
    /// A container's environment lets clients in without a password:
    /// `MYSQL_ALLOW_EMPTY_PASSWORD` or `MARIADB_ALLOW_EMPTY_ROOT_PASSWORD` (with any value, even
    /// `no`, unless a root password is set besides), `ALLOW_EMPTY_PASSWORD` with `yes`, `true` or
    /// `1`, `POSTGRES_HOST_AUTH_METHOD` with `trust`.
    ///
    /// ## Why
    /// Any pod that can reach the port can read and delete everything, unless a network policy stops
    /// it. The setting is applied when the data folder is created, and stays.
    ///
    /// ## Way out
    /// Put a password into a Secret and refer to it in the environment. A database that already has
    /// its data folder keeps the old setting, so change it there, too. The rule does not see
    /// variables from `envFrom`.
    StsEmptyPassword {
        id: "sts-empty-password",
        title: "a database lets clients in without a password",
        group: Practice,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create, Update]],
        source: "docker-library/postgres#685; entry points of the mysql, mariadb and bitnami images",
    }
}

/// A variable that opens the door, and the one that holds the password instead.
struct Door {
    variable: &'static str,
    opens: fn(&str) -> bool,
    password: &'static str,
}

/// The official images of the first two test whether the variable is empty, nothing else.
const DOORS: [Door; 4] = [
    Door {
        variable: "MYSQL_ALLOW_EMPTY_PASSWORD",
        opens: |value| !value.is_empty(),
        password: "MYSQL_ROOT_PASSWORD",
    },
    Door {
        variable: "MARIADB_ALLOW_EMPTY_ROOT_PASSWORD",
        opens: |value| !value.is_empty(),
        password: "MARIADB_ROOT_PASSWORD",
    },
    Door {
        variable: "ALLOW_EMPTY_PASSWORD",
        opens: |value| ["yes", "true", "1"].iter().any(|yes| value.eq_ignore_ascii_case(yes)),
        password: "the image's password variable",
    },
    Door {
        variable: "POSTGRES_HOST_AUTH_METHOD",
        opens: |value| value == "trust",
        password: "POSTGRES_PASSWORD",
    },
];

impl Rule for StsEmptyPassword {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some(written) = template::written(change)? else { return Ok(()) };
        let old = written.old.iter().flat_map(|(_, pod)| pod.all_containers());
        let open_before: BTreeSet<(&str, &str)> = old
            .flat_map(|(_, _, old)| {
                open_doors(old).map(|(_, door, _)| (old.name.as_str(), door.variable))
            })
            .collect();
        for (list, index, container) in written.pod.all_containers() {
            for (position, door, value) in open_doors(container) {
                if open_before.contains(&(container.name.as_str(), door.variable)) {
                    continue;
                }
                findings
                    .add(
                        template::container(list, index).key("env").index(position).key("value"),
                        format!("{}={value} lets clients in with no password", door.variable),
                    )
                    .values(None, Some(value))
                    .why("Everyone who can reach the port can read and delete everything.")
                    .remedy(steps(change, door));
            }
        }
        Ok(())
    }
}

/// The variables of `container` that let clients in: place, door and value.
fn open_doors<'c>(
    container: &'c Container<'_>,
) -> impl Iterator<Item = (usize, &'static Door, &'c str)> {
    let has_root_password = container.env.iter().any(|env| {
        matches!(&*env.name, "MYSQL_ROOT_PASSWORD" | "MARIADB_ROOT_PASSWORD")
            && env.value.as_deref() != Some("")
    });
    container.env.iter().enumerate().filter_map(move |(position, env)| {
        let door = DOORS.iter().find(|door| *door.variable == *env.name)?;
        let value = env.value.as_deref().filter(|value| (door.opens)(value))?;
        let closed = has_root_password && door.password.ends_with("_ROOT_PASSWORD");
        (!closed).then_some((position, door, value))
    })
}

fn steps(change: &Change<'_>, door: &Door) -> Vec<Step> {
    let name = if change.name.is_empty() { "database" } else { &change.name };
    let mut steps = vec![
        remedy::run(
            "make a password",
            format!(
                "{} create secret generic {name}-password \
                 --from-literal=password=\"$(head -c 24 /dev/urandom | base64)\"",
                remedy::kubectl(change)
            ),
        ),
        remedy::amend_template(
            change,
            &format!(
                "replace {} by {} with valueFrom: {{secretKeyRef: {{name: {name}-password, key: \
                 password}}}}",
                door.variable, door.password
            ),
        ),
    ];
    if change.operation == Operation::Update {
        steps.push(remedy::say(
            "change the password inside the database too: the image reads these variables only \
             when it makes the data folder",
        ));
    }
    steps
}
