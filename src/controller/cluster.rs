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
    /// the account may have a right that the controller is not given
    pub(super) asks_for_secrets: bool,
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
        Self { client: client.into(), volumes: Arc::default(), asks_for_secrets: false }
    }

    /// Lists Secrets as well, as far as the account may.
    #[must_use]
    pub fn with_secrets(self) -> Self {
        Self { asks_for_secrets: true, ..self }
    }

    /// The time by the API server's clock.
    pub fn now(&self) -> Timestamp {
        self.client.now()
    }
}
