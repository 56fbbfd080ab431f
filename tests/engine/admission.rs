//! What admission says while sets are resized: the tables of `docs/resize.md`.

mod defaults;
mod disclosure;
mod growability;
mod growth;
mod new_sets;
mod recreation;
pub(crate) mod setup;
