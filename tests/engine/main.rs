//! The engine in one process: reading, rules, policy, decisions, plans and reports.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test says by a panic what went wrong"
)]

mod admission;
mod damaged_reviews;
mod data_mounts;
mod edits;
mod fuzz;
mod growth;
mod long_texts;
mod manifest;
mod odd_clusters;
mod packs;
mod policy;
mod quantity_table;
mod report;
mod resize_plan;
mod resize_writes;
mod review;
mod rules;
mod rules_pages;
mod tenant;
