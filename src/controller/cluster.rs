//! A cluster as the controller sees it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use stateward_core::facts::FixedVolume;

use crate::cluster::{Client, ClusterError};

/// What a resize observes and writes, over the connection that everything else uses, too.
#[derive(Clone)]
pub struct Cluster {
    pub(crate) client: Client,
    /// why volumes cannot grow, by name: what a volume's source is never changes
    pub(super) volumes: Arc<Mutex<HashMap<String, Option<FixedVolume>>>>,
}

impl Cluster {
    /// Finds the cluster as kubectl does.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn connect(
        kubeconfig: Option<&Path>,
        context: Option<&str>,
    ) -> Result<Self, ClusterError> {
        Ok(Self::new(Client::connect(kubeconfig, context).await?))
    }

    /// Over a client that does not repeat requests.
    pub fn new(client: impl Into<Client>) -> Self {
        Self { client: client.into(), volumes: Arc::default() }
    }

    /// The time by the API server's clock.
    pub fn now(&self) -> Timestamp {
        self.client.now()
    }
}
