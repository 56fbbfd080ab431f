//! The commands that are printed for a person: the program as it was called, and the cluster that was asked.

use std::fmt::Write as _;

use stateward_core::shell::shell_quote;

/// Builds every printed command, so that none runs against another cluster than the one that was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commands {
    /// how a person calls stateward: `stateward`, or `kubectl stateward`
    program: String,
    /// options that lead `kubectl` and `stateward` to the cluster, each after a space
    cluster: String,
    /// options that only `stateward` knows, each after a space
    own: String,
}

impl Default for Commands {
    fn default() -> Self {
        Self { program: "stateward".to_owned(), cluster: String::new(), own: String::new() }
    }
}

impl Commands {
    /// Commands for a program called `program`.
    pub fn new(program: &str) -> Self {
        Self { program: program.to_owned(), ..Self::default() }
    }

    /// Leads `kubectl` and `stateward` to a cluster: `option` with `value`, if there is one.
    #[must_use]
    pub fn cluster(mut self, option: &str, value: Option<&str>) -> Self {
        push(&mut self.cluster, option, value);
        self
    }

    /// Adds an option that only `stateward` knows.
    #[must_use]
    pub fn own(mut self, option: &str, value: Option<&str>) -> Self {
        push(&mut self.own, option, value);
        self
    }

    /// `kubectl` in no namespace.
    pub fn kubectl(&self, rest: &str) -> String {
        format!("kubectl{} {rest}", self.cluster)
    }

    /// `kubectl` in a namespace.
    pub fn kubectl_in(&self, namespace: &str, rest: &str) -> String {
        self.kubectl(&format!("-n {} {rest}", shell_quote(namespace)))
    }

    /// `stateward resize VERB SET` with `options`, which may be empty.
    pub fn resize(&self, verb: &str, set: &str, namespace: &str, options: &str) -> String {
        let (set, namespace) = (shell_quote(set), shell_quote(namespace));
        let space = if options.is_empty() { "" } else { " " };
        let Self { program, cluster, own } = self;
        format!("{program} resize {verb} {set} -n {namespace}{cluster}{own}{space}{options}")
    }

    /// Another command of stateward that asks the cluster.
    pub fn stateward(&self, command: &str) -> String {
        format!("{} {command}{}", self.program, self.cluster)
    }

    /// Installs the objects that resizes need.
    pub fn install_crds(&self) -> String {
        let apply = self.kubectl("apply --server-side -f -");
        format!("{} manifests --crds | {apply}", self.program)
    }
}

fn push(options: &mut String, option: &str, value: Option<&str>) {
    if let Some(value) = value {
        let _ = write!(options, " {option} {}", shell_quote(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_leads_to_the_cluster_that_was_asked() {
        let commands = Commands::new("kubectl stateward")
            .cluster("--kubeconfig", Some("my files/config"))
            .cluster("--context", Some("arn:aws:eks:eu:1:cluster/prod"))
            .own("--system-namespace", None);
        let cluster = "--kubeconfig 'my files/config' --context arn:aws:eks:eu:1:cluster/prod";
        assert_eq!(commands.kubectl("get nodes"), format!("kubectl {cluster} get nodes"));
        assert_eq!(
            commands.kubectl_in("shop", "get pods"),
            format!("kubectl {cluster} -n shop get pods")
        );
        assert_eq!(
            commands.resize("apply", "db", "shop", "--size data=2Gi"),
            format!("kubectl stateward resize apply db -n shop {cluster} --size data=2Gi")
        );
        assert_eq!(
            commands.install_crds(),
            format!(
                "kubectl stateward manifests --crds | kubectl {cluster} apply --server-side -f -"
            )
        );
    }

    #[test]
    fn a_namespace_of_stateward_is_an_option_of_its_own_commands_alone() {
        let commands = Commands::default().own("--system-namespace", Some("guard"));
        assert_eq!(
            commands.resize("status", "db", "shop", ""),
            "stateward resize status db -n shop --system-namespace guard"
        );
        assert_eq!(commands.kubectl("get nodes"), "kubectl get nodes");
        assert_eq!(
            Commands::new("sw").cluster("--context", Some("it's")).kubectl("version"),
            r"kubectl --context 'it'\''s' version"
        );
    }
}
