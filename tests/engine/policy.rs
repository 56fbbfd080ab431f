//! The policy file: how it is read, and what it does.

mod effect;
mod packs;
mod reading;
mod schema;
