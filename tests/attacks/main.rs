//! What a tenant can do against stateward with the rights of the role `edit`, and what anybody
//! can do who reaches its ports.
//!
//! Each test plays one attack that once worked, with its siblings, against a real control plane, the
//! release binary and its controller. The suite builds that binary, unless
//! `STATEWARD_ATTACK_BINARY` names another. Figures (memory, answered probes, time by size) are printed with `--nocapture`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod account;
mod bypass;
mod data;
mod deletion;
mod facts;
mod growth;
mod lab;
mod mounts;
mod resize;
mod server;
