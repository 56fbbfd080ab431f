//! Errors of the pod template of a set.
//!
//! Looked at: names of volumes, containers and environment variables, images, pull policies,
//! ports, mounts and devices, `restartPolicy`, `activeDeadlineSeconds`, `dnsPolicy`. The server
//! looks at more (probes, affinities, resources, security contexts, sources of volumes).

use std::collections::{BTreeMap, BTreeSet};

use super::{Area, Errors, ValidationError, shown};
use crate::object::names::{is_dns_label, is_port_name};
use crate::object::pod::{Container, PodSpec};
use crate::object::{DecodeError, Pointer, StatefulSet};

/// The most volumes that a message lists.
const LISTED: usize = 12;

/// The volumes of a pod by name, and whether each can be a block device.
type Volumes<'s> = BTreeMap<&'s str, bool>;

struct Collector<'f> {
    errors: &'f mut Errors,
}

impl Collector<'_> {
    fn add(&mut self, area: Area, field: Pointer, value: &str, what: String, instead: String) {
        let value = Some(value.to_owned()).filter(|value| !value.is_empty());
        self.errors.push(ValidationError { area, field, value, what, instead });
    }

    // Most names are right: where they stand is put together only for those that are not.
    fn label(&mut self, field: impl FnOnce() -> Pointer, name: &str, whose: &str) {
        if is_dns_label(name) {
            return;
        }
        let field = field();
        let what = if name.is_empty() {
            format!("a {whose} has no name")
        } else {
            format!("{} is no name of a {whose}", shown(name))
        };
        let instead = format!("set {} to lower-case letters, digits and '-'", field.dotted());
        self.add(Area::Pod, field, name, what, instead);
    }

    fn twice(&mut self, field: Pointer, name: &str, whose: &str) {
        let what = format!("two of its {whose} have the name {}", shown(name));
        let instead = format!("set {} to a name of its own", field.dotted());
        self.add(Area::Pod, field, name, what, instead);
    }

    fn one_of(&mut self, field: impl FnOnce() -> Pointer, value: &str, allowed: &[&str]) {
        if !allowed.contains(&value) {
            let field = field();
            let allowed = allowed.join(", ");
            let name = field.tokens().last().unwrap_or_default();
            let what = format!("{name} {} is unknown", shown(value));
            let instead = format!("set {} to one of {allowed}", field.dotted());
            self.add(Area::Pod, field, value, what, instead);
        }
    }
}

/// Adds the errors of the pod template of `set`.
pub(super) fn template(set: &StatefulSet<'_>, errors: &mut Errors) -> Result<(), DecodeError> {
    let spec = &set.template()?.spec;
    let at = Pointer::from("/spec/template/spec");
    let mut found = Collector { errors };
    // These two are looked at even where the old set is invalid.
    if let Some(policy) = spec.restart_policy.as_deref().filter(|p| !matches!(*p, "" | "Always")) {
        found.add(
            Area::Spec,
            at.clone().key("restartPolicy"),
            policy,
            format!("restartPolicy of its pods is {}, not Always", shown(policy)),
            "set spec.template.spec.restartPolicy to Always".to_owned(),
        );
    }
    if let Some(seconds) = spec.active_deadline_seconds {
        found.add(
            Area::Spec,
            at.clone().key("activeDeadlineSeconds"),
            &seconds.to_string(),
            format!("activeDeadlineSeconds of its pods is {seconds}; a set allows none"),
            "leave spec.template.spec.activeDeadlineSeconds out".to_owned(),
        );
    }
    if let Some(policy) = spec.dns_policy.as_deref().filter(|policy| !policy.is_empty()) {
        let allowed = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
        found.one_of(|| at.clone().key("dnsPolicy"), policy, &allowed);
    }
    let volumes = volumes(set, spec, &mut found)?;
    containers(spec, &volumes, &at, &mut found);
    Ok(())
}

/// The volumes that the controller gives to a pod: claim templates win over `volumes`.
fn volumes<'s>(
    set: &'s StatefulSet<'_>,
    spec: &'s PodSpec<'_>,
    found: &mut Collector<'_>,
) -> Result<Volumes<'s>, DecodeError> {
    let mut volumes = Volumes::new();
    for (index, template) in set.claim_templates()?.iter().enumerate() {
        let name = template.metadata.name.as_str();
        // Templates of one name are one volume.
        if volumes.insert(name, true).is_none() {
            let at = || Pointer::from("/spec/volumeClaimTemplates").index(index);
            let field = || at().key("metadata").key("name");
            found.label(field, name, "claim template");
        }
    }
    let templates = volumes.len();
    let mut own = BTreeSet::new();
    for (index, volume) in spec.volumes.iter().enumerate() {
        let name = volume.name.as_str();
        if templates > 0 && volumes.contains_key(name) && !own.contains(name) {
            continue;
        }
        let field = || Pointer::from("/spec/template/spec/volumes").index(index).key("name");
        if own.insert(name) {
            found.label(field, name, "volume");
        } else {
            found.twice(field(), name, "volumes");
        }
        let device = volume.persistent_volume_claim.is_some() || volume.ephemeral.is_some();
        volumes.insert(name, device);
    }
    Ok(volumes)
}

fn containers(spec: &PodSpec<'_>, volumes: &Volumes<'_>, at: &Pointer, found: &mut Collector<'_>) {
    if spec.containers.is_empty() {
        found.add(
            Area::Pod,
            at.clone().key("containers"),
            "",
            "its pod template has no containers".to_owned(),
            "give spec.template.spec.containers at least one container".to_owned(),
        );
    }
    let mut names = BTreeSet::new();
    // Regular containers first: an init container of the same name is the one in the wrong.
    let lists = [("containers", &spec.containers), ("initContainers", &spec.init_containers)];
    for (list, containers) in lists {
        for (index, container) in containers.iter().enumerate() {
            let at = at.clone().key(list).index(index);
            let name = container.name.as_str();
            found.label(|| at.clone().key("name"), name, "container");
            if !name.is_empty() && !names.insert(name) {
                found.twice(at.clone().key("name"), name, "containers");
            }
            if let Some(policy) = container.restart_policy.as_deref() {
                let allowed = ["Always", "OnFailure", "Never"];
                found.one_of(|| at.clone().key("restartPolicy"), policy, &allowed);
            }
            one_container(container, &at, found);
            mounts(container, volumes, &at, found);
            devices(container, volumes, &at, found);
        }
    }
}

fn one_container(container: &Container<'_>, at: &Pointer, found: &mut Collector<'_>) {
    let whose = shown(&container.name);
    if container.image.is_empty() {
        let field = at.clone().key("image");
        let instead = format!("set {} to an image", field.dotted());
        found.add(Area::Pod, field, "", format!("container {whose} has no image"), instead);
    }
    if let Some(policy) = container.image_pull_policy.as_deref().filter(|p| !p.is_empty()) {
        let field = || at.clone().key("imagePullPolicy");
        found.one_of(field, policy, &["Always", "IfNotPresent", "Never"]);
    }
    for (index, variable) in container.env.iter().enumerate() {
        let name = variable.name.as_str();
        if name.is_empty() || name.bytes().any(|b| b == b'=' || !(b' '..=b'~').contains(&b)) {
            let field = at.clone().key("env").index(index).key("name");
            let what = format!("{} is no name of an environment variable", shown(name));
            let instead = format!("set {} to printable ASCII without '='", field.dotted());
            found.add(Area::Pod, field, name, what, instead);
        }
    }
    let mut names = BTreeSet::new();
    for (index, port) in container.ports.iter().enumerate() {
        let at = || at.clone().key("ports").index(index);
        let name = port.name.as_str();
        if !name.is_empty() && !is_port_name(name) {
            let field = at().key("name");
            let what = format!("{} is no name of a port", shown(name));
            let instead =
                format!("set {} to at most 15 lower-case letters, digits and '-'", field.dotted());
            found.add(Area::Pod, field, name, what, instead);
        } else if !name.is_empty() && !names.insert(name) {
            found.twice(at().key("name"), name, "ports");
        }
        let number = port.container_port.unwrap_or(0);
        let host = port.host_port.unwrap_or(0);
        for (key, number, unset) in [("containerPort", number, false), ("hostPort", host, true)] {
            let legal = (1..=65535).contains(&number) || unset && number == 0;
            if !legal {
                let field = at().key(key);
                let what = format!("{key} {number} of container {whose} is no port");
                let instead = format!("set {} to 1 … 65535", field.dotted());
                found.add(Area::Pod, field, &number.to_string(), what, instead);
            }
        }
        if let Some(protocol) = port.protocol.as_deref().filter(|p| !p.is_empty()) {
            found.one_of(|| at().key("protocol"), protocol, &["SCTP", "TCP", "UDP"]);
        }
    }
}

fn mounts(
    container: &Container<'_>,
    volumes: &Volumes<'_>,
    at: &Pointer,
    found: &mut Collector<'_>,
) {
    let whose = shown(&container.name);
    let mut paths = BTreeSet::new();
    let devices = &container.volume_devices;
    let device_names: BTreeSet<&str> = devices.iter().map(|device| &*device.name).collect();
    let device_paths: BTreeSet<&str> = devices.iter().map(|device| &*device.device_path).collect();
    for (index, mount) in container.volume_mounts.iter().enumerate() {
        let at = || at.clone().key("volumeMounts").index(index);
        unknown(at, &mount.name, volumes, || format!("container {whose} would mount"), found);
        let path = mount.mount_path.as_str();
        if path.is_empty() {
            let field = at().key("mountPath");
            let what = format!("container {whose} mounts {} nowhere", shown(&mount.name));
            let instead = format!("set {} to a path", field.dotted());
            found.add(Area::Pod, field, "", what, instead);
        } else if !paths.insert(path) {
            let field = at().key("mountPath");
            let what = format!("container {whose} has two mounts at {}", shown(path));
            let instead = format!("set {} to a path of its own", field.dotted());
            found.add(Area::Pod, field, path, what, instead);
        }
        if device_names.contains(mount.name.as_str()) {
            let what = format!("container {whose} has {} as mount and device", shown(&mount.name));
            let instead = format!("leave {} out, or the device", at().dotted());
            found.add(Area::Pod, at().key("name"), &mount.name, what, instead);
        }
        if !path.is_empty() && device_paths.contains(path) {
            let what = format!("container {whose} has a mount and a device at {}", shown(path));
            let instead = format!("set {}.mountPath to another path", at().dotted());
            found.add(Area::Pod, at().key("mountPath"), path, what, instead);
        }
        for (key, path) in [("subPath", &mount.sub_path), ("subPathExpr", &mount.sub_path_expr)] {
            if path.starts_with('/') || path.split('/').any(|part| part == "..") {
                let field = at().key(key);
                let what = format!("{key} {} of container {whose} leaves the volume", shown(path));
                let instead = format!("set {} to a relative path without ..", field.dotted());
                found.add(Area::Pod, field, path, what, instead);
            }
        }
        if !mount.sub_path.is_empty() && !mount.sub_path_expr.is_empty() {
            let what = format!("container {whose} has subPath and subPathExpr in one mount");
            let instead = format!("leave one of the two out of {}", at().dotted());
            found.add(Area::Pod, at().key("subPathExpr"), &mount.sub_path_expr, what, instead);
        }
    }
}

fn devices(
    container: &Container<'_>,
    volumes: &Volumes<'_>,
    at: &Pointer,
    found: &mut Collector<'_>,
) {
    let whose = shown(&container.name);
    let (mut names, mut paths) = (BTreeSet::new(), BTreeSet::new());
    for (index, device) in container.volume_devices.iter().enumerate() {
        let at = || at.clone().key("volumeDevices").index(index);
        let (name, path) = (device.name.as_str(), device.device_path.as_str());
        unknown(at, name, volumes, || format!("container {whose} would use"), found);
        if volumes.get(name) == Some(&false) {
            let what =
                format!("container {whose} has {} as device, which no claim is", shown(name));
            let instead = format!("set {}.name to a claim template", at().dotted());
            found.add(Area::Pod, at().key("name"), name, what, instead);
        }
        if !names.insert(name) {
            found.twice(at().key("name"), name, "devices");
        }
        let wrong = if path.is_empty() {
            "nowhere"
        } else if paths.contains(path) {
            "where another one is"
        } else if path.split('/').any(|part| part == "..") {
            "above its folder"
        } else {
            paths.insert(path);
            continue;
        };
        let field = at().key("devicePath");
        let what = format!("container {whose} has device {} {wrong}", shown(name));
        let instead = format!("set {} to a path of its own", field.dotted());
        found.add(Area::Pod, field, path, what, instead);
    }
}

fn unknown(
    at: impl Fn() -> Pointer,
    name: &str,
    volumes: &Volumes<'_>,
    verb: impl Fn() -> String,
    found: &mut Collector<'_>,
) {
    if name.is_empty() {
        found.add(
            Area::Pod,
            at().key("name"),
            "",
            format!("{} a volume without a name", verb()),
            format!("set {}.name to a volume or a claim template", at().dotted()),
        );
    } else if !volumes.contains_key(name) {
        // Other names are refused themselves, and may have any length.
        let names = volumes.keys().copied().filter(|name| is_dns_label(name));
        let mut known: Vec<&str> = names.take(LISTED + 1).collect();
        if known.len() > LISTED {
            known[LISTED] = "…";
        }
        let instead = match known.as_slice() {
            [] if is_dns_label(name) => {
                format!("add a volume called {name}, or leave {} out", at().dotted())
            }
            [] => format!("leave {} out", at().dotted()),
            [one] => format!("set {}.name to {one}", at().dotted()),
            _ => format!("set {}.name to one of {}", at().dotted(), known.join(", ")),
        };
        found.add(
            Area::Mount,
            at().key("name"),
            name,
            format!("{} {}, which is no volume", verb(), shown(name)),
            instead,
        );
    }
}
