//! Which cluster a command asks.

use std::path::PathBuf;

use stateward_core::shell::shell_quote;

use crate::cluster::{Client, ClusterError};

/// Which cluster.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Connection {
    /// Kubeconfig file [default: as kubectl finds it; in a pod its service account]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

impl Connection {
    /// The options that lead another command to the same cluster, each after a space.
    pub fn options(&self) -> String {
        let file = self.kubeconfig.as_ref().map(|file| file.display().to_string());
        [("--kubeconfig", file.as_deref()), ("--context", self.context.as_deref())]
            .into_iter()
            .filter_map(|(option, value)| Some(format!(" {option} {}", shell_quote(value?))))
            .collect()
    }

    /// The connection. Nothing is asked yet.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn open(&self) -> Result<Client, ClusterError> {
        Client::connect(self.kubeconfig.as_deref(), self.context.as_deref()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_command_is_led_to_the_same_cluster() {
        assert_eq!(Connection::default().options(), "");
        let connection = Connection {
            kubeconfig: Some("my files/config".into()),
            context: Some("arn:aws:eks:eu:1:cluster/prod".to_owned()),
        };
        assert_eq!(
            connection.options(),
            " --kubeconfig 'my files/config' --context arn:aws:eks:eu:1:cluster/prod"
        );
        let quote = Connection { context: Some("it's".to_owned()), ..Connection::default() };
        assert_eq!(quote.options(), r" --context 'it'\''s'");
    }
}
