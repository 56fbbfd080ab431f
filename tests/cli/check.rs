//! `stateward check` as people and pipelines run it: the built program in temporary folders and
//! git repositories.

mod input;
mod left_behind;
mod outcome;
mod pairing;
mod places;
mod repository;
mod revision;
mod submodule;
mod verdict;
