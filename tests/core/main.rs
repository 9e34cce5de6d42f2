//! What needs no Kubernetes: the fixtures, the command line, the policies, the reports, the generated files, YAML, CEL.
//! It also builds with `--no-default-features`, without the webhook's server then.
// A panic is how a test fails, in its helpers too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../support/mod.rs"]
mod support;

mod cel_conformance;
mod cli;
mod cli_limits;
mod experiments;
mod fix;
mod fixtures;
mod fuzz_corpus;
mod generated;
mod growth;
mod policies;
mod portions;
mod properties;
mod reports;
mod repository;
#[cfg(feature = "serve")]
mod server;
mod since;
mod update;
mod ways_in;
mod yaml;
