//! The few messages of CSI that a resizer sends and reads.
//!
//! Names and field numbers are those of `csi.proto` in the Container Storage Interface 1.13
//! (Apache-2.0, <https://github.com/container-storage-interface/spec>). Written by hand, because five
//! messages need neither the protocol compiler nor a build script; fields left out are skipped.

use prost::Message;

/// A gRPC status that is no success.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) code: u8,
    /// ASCII, since it becomes a header as it is.
    pub(super) message: String,
}

impl Refused {
    pub(super) const INVALID_ARGUMENT: u8 = 3;
    pub(super) const FAILED_PRECONDITION: u8 = 9;
    pub(super) const OUT_OF_RANGE: u8 = 11;
    pub(super) const UNIMPLEMENTED: u8 = 12;
    pub(super) const INTERNAL: u8 = 13;

    pub(super) fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// Of a plugin: the controller service exists.
pub(super) const CONTROLLER_SERVICE: i32 = 1;
/// Of the controller service: volumes can be expanded.
pub(super) const EXPAND_VOLUME: i32 = 9;

/// `GetPluginInfoResponse`.
#[derive(Message)]
pub(super) struct PluginInfo {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) vendor_version: String,
}

/// `GetPluginCapabilitiesResponse` and `ControllerGetCapabilitiesResponse`, which look alike.
#[derive(Message)]
pub(super) struct Capabilities {
    #[prost(message, repeated, tag = "1")]
    capabilities: Vec<Capability>,
}

#[derive(Message)]
struct Capability {
    // `service` of the one, `rpc` of the other.
    #[prost(message, optional, tag = "1")]
    kind: Option<Kind>,
}

#[derive(Message)]
struct Kind {
    #[prost(int32, tag = "1")]
    kind: i32,
}

impl Capabilities {
    pub(super) fn one(kind: i32) -> Self {
        Self { capabilities: vec![Capability { kind: Some(Kind { kind }) }] }
    }
}

/// `ControllerExpandVolumeRequest`.
#[derive(Message)]
pub(super) struct Expand {
    #[prost(string, tag = "1")]
    pub(super) volume_id: String,
    #[prost(message, optional, tag = "2")]
    pub(super) capacity_range: Option<CapacityRange>,
}

/// `CapacityRange`, in bytes.
#[derive(Message)]
pub(super) struct CapacityRange {
    #[prost(int64, tag = "1")]
    pub(super) required_bytes: i64,
}

/// `ControllerExpandVolumeResponse`.
#[derive(Message)]
pub(super) struct Expanded {
    #[prost(int64, tag = "1")]
    pub(super) capacity_bytes: i64,
    #[prost(bool, tag = "2")]
    pub(super) node_expansion_required: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_the_protocol() {
        let expanded = Expanded { capacity_bytes: 300, node_expansion_required: true };
        assert_eq!(expanded.encode_to_vec(), [0x08, 0xac, 0x02, 0x10, 0x01]);
        let capabilities = Capabilities::one(EXPAND_VOLUME);
        assert_eq!(capabilities.encode_to_vec(), [0x0a, 0x04, 0x0a, 0x02, 0x08, 0x09]);
    }
}
