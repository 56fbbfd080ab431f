//! stateward in front of a real control plane.
//!
//! These tests build and start kube-apiserver, kube-controller-manager, etcd, kubectl and helm.
//! `STATEWARD_TESTBED=skip` leaves them out, and says so.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod admission;
mod anti_affinity;
mod availability;
mod break_glass;
#[expect(dead_code, reason = "some bugs do not show through the API")]
#[path = "../resize/bugs.rs"]
mod bugs;
mod canary;
mod certificates;
mod chart;
mod chart_controller;
mod chart_templates;
mod clients;
mod deletion;
#[path = "../cli/picture.rs"]
mod drawing;
mod events;
mod fidelity;
mod generator;
mod growth;
mod live;
mod load;
mod losses;
mod operators;
#[path = "../engine/packs/edits.rs"]
mod pack_edits;
mod picture;
mod prometheus;
mod recipes;
mod record;
mod refusals;
mod remedies;
mod resize;
mod resize_commands;
mod resize_crash;
mod resize_edit;
mod resize_figures;
mod resize_leaders;
mod resize_mutants;
mod resize_ownership;
mod resize_paths;
mod resize_pods;
mod resize_refusals;
mod resize_restart;
mod resize_tools;
mod resize_watches;
mod rights;
mod rollout;
mod scale;
mod static_admission;
mod systems;
mod uninstall;
mod webhook;
mod worst_night;
