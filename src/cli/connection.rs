//! Which cluster a command asks.

use std::path::PathBuf;

use crate::cluster::{Client, ClusterError};

/// Which cluster.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Connection {
    /// Kubeconfig file [default: as kubectl finds it; in a pod, its service account]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

impl Connection {
    /// The connection. Nothing is asked yet.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn open(&self) -> Result<Client, ClusterError> {
        Client::connect(self.kubeconfig.as_deref(), self.context.as_deref()).await
    }
}
