//! One file an output format, over the same two inputs: what came of the run, and the texts. And the rules' manual.

mod excerpt;
mod human;
mod json;
mod manual;
mod table;

pub use human::{applied, human, not_judged, policies, summary_line};
pub use json::json;
pub use manual::{rule_list, rule_manual, rules_markdown};
pub use table::table;
