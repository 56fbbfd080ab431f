//! Which cluster a command asks.

use std::path::PathBuf;

use stateward_resize::Commands;

use super::program;
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
    /// Builds commands that ask the same cluster, by the name that this program was called by.
    pub fn commands(&self) -> Commands {
        let file = self.kubeconfig.as_ref().map(|file| file.display().to_string());
        Commands::new(&program::name())
            .cluster("--kubeconfig", file.as_deref())
            .cluster("--context", self.context.as_deref())
    }

    /// The connection. Nothing is asked yet.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn open(&self) -> Result<Client, ClusterError> {
        Client::connect(self.kubeconfig.as_deref(), self.context.as_deref()).await
    }
}
