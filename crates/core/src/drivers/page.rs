//! Drivers as text.

use std::fmt::Write as _;

use super::{
    Driver, Expansion, Fitness, Found, Maintenance, Pattern, Provisioner, Topology, When, all,
};

/// The heads of a list of drivers.
pub const HEADS: [&str; 5] = ["DRIVER", "PROVISIONER", "PATTERN", "EXPANSION", "STATE"];

impl Pattern {
    /// All patterns.
    pub const ALL: [Self; 4] = [Self::Block, Self::File, Self::Local, Self::Object];

    /// In two or three words.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Block => "single-writer block",
            Self::File => "multi-writer file",
            Self::Local => "local",
            Self::Object => "object",
        }
    }
}

impl Expansion {
    /// In a few words.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Offline => "offline only",
            Self::OnlineOnly => "online only",
            Self::None => "none",
            Self::Pretended => "pretended",
        }
    }

    /// As a sentence.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Online => "Volumes grow while pods use them. No pod restarts.",
            Self::Offline => "A volume grows only while no pod uses it.",
            Self::OnlineOnly => "A volume grows only while a pod uses it. No pod restarts.",
            Self::None => "Volumes cannot grow, whatever the StorageClass allows.",
            Self::Pretended => "The driver reports success, and no volume gains space.",
        }
    }
}

impl Maintenance {
    const fn label(self) -> &'static str {
        match self {
            Self::Unmaintained => "unmaintained",
            Self::Removed => "removed",
            Self::ForTests => "for tests",
        }
    }
}

impl Topology {
    const fn sentence(self) -> &'static str {
        match self {
            Self::Zone => "The nodes of one zone reach a volume.",
            Self::Region => "The nodes of one region reach a volume.",
            Self::Node => "One node reaches a volume. If the node is lost, so is the data.",
            Self::Any => "All nodes reach a volume.",
        }
    }
}

impl Fitness {
    const fn label(self) -> &'static str {
        match self {
            Self::Fit => "fit",
            Self::Conditional => "on a condition",
            Self::Unfit => "unfit",
        }
    }
}

/// The rows of a list of drivers, without its heads: one for each name of a provisioner.
pub fn rows() -> Vec<[String; 5]> {
    let row = |driver: &Driver, provisioner: &Provisioner| {
        let mut patterns: Vec<&str> = driver.patterns.iter().map(|fact| fact.is.label()).collect();
        patterns.sort_unstable();
        patterns.dedup();
        let state = match (&provisioner.removed, &driver.state) {
            (Some(version), _) => format!("removed in {version}"),
            (None, Some(state)) => state.is.label().to_owned(),
            (None, None) => String::new(),
        };
        let expansion = driver.expands().filter(|_| provisioner.removed.is_none());
        [
            driver.title.clone(),
            name(provisioner),
            patterns.join(", "),
            expansion.map_or_else(String::new, |expansion| expansion.label().to_owned()),
            state,
        ]
    };
    let rows = all().iter().flat_map(|driver| {
        driver.provisioners.iter().map(move |provisioner| row(driver, provisioner))
    });
    rows.collect()
}

/// The name of a provisioner, or what its names end in.
fn name(provisioner: &Provisioner) -> String {
    match (&provisioner.name, &provisioner.suffix) {
        (Some(name), _) => name.clone(),
        (None, Some(suffix)) => format!("[PREFIX.]{suffix}"),
        (None, None) => String::new(),
    }
}

/// A condition, as the end of a sentence; empty if there is none.
fn condition(when: &When) -> String {
    let mut parts = Vec::new();
    if !when.parameters.is_empty() {
        let values =
            when.values.iter().map(|value| if value.is_empty() { "absent" } else { value });
        let values: Vec<&str> = values.collect();
        parts.push(format!("{} is {}", when.parameters.join(" or "), values.join(", ")));
    }
    match when.shared {
        Some(true) => parts.push("claims are ReadWriteMany".to_owned()),
        Some(false) => parts.push("claims are not ReadWriteMany".to_owned()),
        None => {}
    }
    if parts.is_empty() { String::new() } else { format!(" if {}", parts.join(" and ")) }
}

struct Text(String);

impl Text {
    fn fact(&mut self, what: &str, source: &str) {
        let _ = writeln!(self.0, "  {}\n      {source}", what.trim_end());
    }

    fn section(&mut self, title: &str) {
        let _ = writeln!(self.0, "\n{title}");
    }
}

/// All that is known of a driver, each fact with its source.
pub fn explain(found: Found<'_>) -> String {
    // Each field by name: a fact that nobody prints does not compile.
    let Driver {
        name: file,
        title,
        looked_up,
        provisioners,
        state,
        patterns,
        expansion,
        rounding,
        bounds,
        limits,
        blockers,
        detached_above,
        access,
        topology,
        databases,
        traps,
    } = found.driver;
    let mut out = Text(format!("{title} ({file}), sources read in {looked_up}\n"));
    if let Some(state) = state {
        out.section("State");
        out.fact(&format!("{}: {}", state.is.label(), state.text), &state.source);
    }
    out.section("Provisioners");
    for provisioner in provisioners {
        let mut what = name(provisioner);
        if provisioner.translated {
            what += ", once part of Kubernetes, whose volumes this driver serves now";
        }
        if let Some(version) = &provisioner.removed {
            let _ = write!(what, ", removed in Kubernetes {version}");
        }
        out.fact(&what, &provisioner.source);
    }
    if !patterns.is_empty() {
        out.section("Pattern");
        for fact in patterns {
            out.fact(&format!("{}{}", fact.is.label(), condition(&fact.when)), &fact.source);
        }
    }
    if let Some(fact) = expansion {
        out.section("Expansion");
        let what = format!("{}: {} {}", fact.is.label(), fact.is.sentence(), fact.text);
        out.fact(&what, &fact.source);
    }
    sizes(&mut out, rounding, bounds, detached_above.as_ref());
    if !limits.is_empty() || !blockers.is_empty() {
        out.section("Limits");
        for fact in limits {
            out.fact(&format!("{} {}", fact.sentence(), fact.text), &fact.source);
        }
        for fact in blockers {
            out.fact(&fact.text, &fact.source);
        }
    }
    if !access.is_empty() {
        out.section("Access modes");
        for fact in access {
            let modes = fact.modes.join(", ");
            out.fact(&format!("{}: {modes}. {}", fact.volume_mode, fact.text), &fact.source);
        }
    }
    if let Some(fact) = topology {
        out.section("Topology");
        out.fact(&format!("{} {}", fact.is.sentence(), fact.text), &fact.source);
    }
    if !databases.is_empty() {
        out.section("Databases");
        for fact in databases {
            let when = condition(&fact.when);
            out.fact(&format!("{}{when}: {}", fact.is.label(), fact.text), &fact.source);
        }
    }
    if !traps.is_empty() {
        out.section("Traps");
        for fact in traps {
            out.fact(&fact.text, &fact.source);
        }
    }
    out.0
}

fn sizes(
    out: &mut Text,
    rounding: &[super::Rounding],
    bounds: &[super::Bounds],
    detached_above: Option<&super::DetachedAbove>,
) {
    if rounding.is_empty() && bounds.is_empty() && detached_above.is_none() {
        return;
    }
    out.section("Sizes");
    for fact in rounding {
        let direction = if fact.down { "down" } else { "up" };
        let mut what = format!("rounded {direction} to a multiple of {}", fact.unit);
        if let Some(below) = &fact.below {
            let _ = write!(what, " below {below}");
        }
        out.fact(&what, &fact.source);
    }
    for fact in bounds {
        let ends = [("at least", &fact.least), ("at most", &fact.most)];
        let ends =
            ends.into_iter().filter_map(|(word, size)| Some(format!("{word} {}", size.as_ref()?)));
        let ends: Vec<String> = ends.collect();
        out.fact(&format!("{}{}", ends.join(", "), condition(&fact.when)), &fact.source);
    }
    if let Some(fact) = detached_above {
        let what = format!(
            "passes {} only while no pod uses the volume{}",
            fact.size,
            condition(&fact.when)
        );
        out.fact(&what, &fact.source);
    }
}

impl super::ChangeLimit {
    /// How often a volume may be changed.
    pub fn sentence(&self) -> String {
        format!("A volume can be changed {} times within {} hours.", self.changes, self.hours)
    }
}

/// What a pattern means, as a paragraph with its source.
pub const fn meaning(pattern: Pattern) -> (&'static str, &'static str) {
    match pattern {
        Pattern::Block => (
            "The storage keeps the copies, and one node writes. Use `ReadWriteOncePod` or `ReadWriteOnce`, never \
             `ReadWriteMany`: ext4 and XFS are no cluster file systems. A zonal volume holds its pod in its zone. \
             This is the pattern for the data of a database.",
            "https://github.com/kubernetes-sigs/azuredisk-csi-driver/tree/master/deploy/example/sharedisk",
        ),
        Pattern::File => (
            "Many nodes write to one file system over the network. It is safe for applications that lock by \
             themselves. Do not put the data of a database on it unless the vendor of the database supports that: \
             locks, fsync and the mount options decide.",
            "https://www.postgresql.org/docs/current/creating-cluster.html",
        ),
        Pattern::Local => (
            "The disk is in one node, and the application keeps the copies. If the node is lost, treat the data as \
             lost: the volume and the claim stay, and the pod stays `Pending` until the claim is deleted. Run at \
             least three replicas, spread them over nodes with required anti-affinity, keep a \
             PodDisruptionBudget with `maxUnavailable: 1`, and remove no second node before the rebuilt member \
             is in sync.",
            "https://github.com/kubernetes-sigs/sig-storage-local-static-provisioner/blob/master/README.md",
        ),
        Pattern::Object => (
            "A bucket that looks like a file system. It is no disk: files are written once, and nothing \
             coordinates writers. Use it for backups.",
            "https://github.com/awslabs/mountpoint-s3/blob/main/doc/SEMANTICS.md",
        ),
    }
}

/// `docs/storage-patterns.md`.
pub fn patterns() -> String {
    let mut page = "\
# Storage patterns

<!-- Generated from policies/drivers by `STATEWARD_UPDATE=1 cargo test --test docs storage`. -->

This page lists what stateward knows of storage drivers. `stateward drivers PROVISIONER` prints the same with the
source of each fact. Of another driver stateward assumes nothing: growth is judged by its StorageClass alone.

No driver makes a volume smaller. Kubernetes only lets you lower a request that has not been carried out yet.

"
    .to_owned();
    for pattern in Pattern::ALL {
        let (text, source) = meaning(pattern);
        let label = pattern.label();
        let _ = write!(page, "## {}{}\n\n", label[..1].to_uppercase(), &label[1..]);
        let _ = write!(page, "{} ([source]({source}))\n\n", wrapped(text));
        let of_pattern = |driver: &&Driver| driver.patterns.iter().any(|fact| fact.is == pattern);
        page.push_str("| Driver | Provisioners | Expansion | Know before you use it |\n");
        page.push_str("| --- | --- | --- | --- |\n");
        for driver in all().iter().filter(of_pattern) {
            page.push_str(&row(driver, pattern));
        }
        page.push('\n');
    }
    page.push_str("## Removed\n\n");
    for driver in all() {
        for provisioner in driver.provisioners.iter().filter(|one| one.removed.is_some()) {
            let version = provisioner.removed.as_deref().unwrap_or_default();
            let _ = writeln!(
                page,
                "- `{}` ({}) was removed in Kubernetes {version} ([source]({})).",
                name(provisioner),
                driver.title,
                provisioner.source
            );
        }
    }
    page
}

/// Breaks a paragraph into lines of 120 characters at most.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let length = lines.last().map_or(0, String::len);
        if length > 0 && length + 1 + word.len() > 118 {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("\n")
}

fn row(driver: &Driver, pattern: Pattern) -> String {
    let names: Vec<String> = driver
        .provisioners
        .iter()
        .filter(|provisioner| provisioner.removed.is_none())
        .map(|provisioner| format!("`{}`", name(provisioner)))
        .collect();
    let conditions = driver.patterns.iter().filter(|fact| fact.is == pattern);
    let conditions = conditions.map(|fact| condition(&fact.when)).filter(|text| !text.is_empty());
    let linked = |text: &str, source: &str| {
        let text = text.trim();
        if source.starts_with("https://") {
            format!("[{text}]({source})")
        } else {
            format!("{text} ({source})")
        }
    };
    let mut notes: Vec<String> = conditions.map(|text| format!("Counts{text}.")).collect();
    notes.extend(driver.state.iter().map(|fact| linked(&fact.text, &fact.source)));
    notes.extend(driver.limits.iter().map(|fact| linked(&fact.sentence(), &fact.source)));
    notes.extend(driver.blockers.iter().map(|fact| linked(&fact.text, &fact.source)));
    notes.extend(driver.detached_above.iter().map(|fact| {
        let text = format!("It passes {} only while no pod uses the volume.", fact.size);
        linked(&text, &fact.source)
    }));
    let unfit = driver.databases.iter().filter(|fact| fact.is != Fitness::Fit);
    notes.extend(unfit.map(|fact| {
        let text = format!("Database: {}{}.", fact.is.label(), condition(&fact.when));
        format!("{} {}", linked(&text, &fact.source), fact.text)
    }));
    notes.extend(driver.traps.iter().map(|fact| linked(&fact.text, &fact.source)));
    let expansion = driver.expansion.as_ref().map_or_else(
        || "not known".to_owned(),
        |fact| {
            format!("{}. {}", linked(fact.is.label(), &fact.source), fact.text)
                .trim_end()
                .to_owned()
        },
    );
    let cell = |text: String| text.replace('|', "\\|");
    format!(
        "| {} | {} | {} | {} |\n",
        driver.title,
        names.join(", "),
        cell(expansion),
        cell(notes.join("<br>"))
    )
}
