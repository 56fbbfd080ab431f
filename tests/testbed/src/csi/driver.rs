//! What the played driver answers.

use std::sync::PoisonError;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use prost::Message;

use super::wire::{self, Capabilities, Expand, Expanded, PluginInfo, Refused};
use super::{Call, Calls, Driver};
use crate::client::Session;
use crate::storage::users_of;

const GIB: i64 = 1 << 30;

/// The driver with its memory.
pub(super) struct Player {
    pub(super) driver: Driver,
    pub(super) name: String,
    pub(super) csi: Session,
    pub(super) calls: Calls,
}

impl Player {
    /// Answers one call of CSI by its full name.
    pub(super) async fn call(&self, method: &str, message: Bytes) -> Result<Vec<u8>, Refused> {
        match method {
            // An answer without `ready` means ready.
            "/csi.v1.Identity/Probe" => Ok(Vec::new()),
            "/csi.v1.Identity/GetPluginInfo" => {
                let info = PluginInfo { name: self.name.clone(), vendor_version: "1".to_owned() };
                Ok(info.encode_to_vec())
            }
            "/csi.v1.Identity/GetPluginCapabilities" => {
                Ok(Capabilities::one(wire::CONTROLLER_SERVICE).encode_to_vec())
            }
            "/csi.v1.Controller/ControllerGetCapabilities" => {
                Ok(Capabilities::one(wire::EXPAND_VOLUME).encode_to_vec())
            }
            "/csi.v1.Controller/ControllerExpandVolume" => {
                let request = Expand::decode(message)
                    .map_err(|error| Refused::new(Refused::INVALID_ARGUMENT, error.to_string()))?;
                let required = request.capacity_range.map_or(0, |range| range.required_bytes);
                let answer = self.expand(&request.volume_id, required).await;
                let code = answer.as_ref().err().map_or(0, |refused| refused.code);
                self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(Call {
                    volume: request.volume_id,
                    required,
                    code,
                });
                Ok(answer?.encode_to_vec())
            }
            _ => Err(Refused::new(Refused::UNIMPLEMENTED, format!("{method} is not played"))),
        }
    }

    async fn expand(&self, volume: &str, required: i64) -> Result<Expanded, Refused> {
        let mut expanded = Expanded { capacity_bytes: required, node_expansion_required: true };
        match self.driver {
            Driver::Controller => expanded.node_expansion_required = false,
            Driver::Slow => tokio::time::sleep(Duration::from_secs(3)).await,
            Driver::Rounding => expanded.capacity_bytes = (required + GIB - 1) / GIB * GIB,
            Driver::Infeasible if required > 15 * GIB => {
                let text = format!("{required} is more than the limit");
                return Err(Refused::new(Refused::OUT_OF_RANGE, text));
            }
            Driver::Online | Driver::Infeasible => {}
            Driver::Offline => {
                let published = self.published(volume).await;
                if published.map_err(|error| Refused::new(Refused::INTERNAL, error.to_string()))? {
                    let text = "the volume is published, and grows only offline";
                    return Err(Refused::new(Refused::FAILED_PRECONDITION, text));
                }
            }
        }
        Ok(expanded)
    }

    /// Whether a pod runs with the volume: what a driver knows from its own node service.
    async fn published(&self, volume: &str) -> Result<bool> {
        let path = format!("/api/v1/persistentvolumes/{volume}");
        let volume = self.csi.get(&path).await?.ok()?;
        let claim = &volume["spec"]["claimRef"];
        let namespace = claim["namespace"].as_str().context("a volume without a claim")?;
        let name = claim["name"].as_str().context("a volume without a claim")?;
        let mut pods = self.csi.get(&format!("/api/v1/namespaces/{namespace}/pods")).await?.ok()?;
        let pods = pods["items"].as_array_mut().context("a list without items")?;
        Ok(!users_of(namespace, name, pods).is_empty())
    }
}
