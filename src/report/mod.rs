//! One file an output format, over the same two inputs: what came of the run, and the texts. And the rules' manual.

mod excerpt;
mod format;
mod github;
mod gitlab;
mod human;
mod json;
mod junit;
mod junit_xml;
mod manual;
mod markdown;
mod options;
mod problem;
mod sarif;
mod table;

pub use format::{Format, render};
pub use human::{applied, human, not_judged, policies, summary_line};
pub use json::json;
pub use junit_xml::{Case, Suite, Tag, Told, junit_xml};
pub use manual::{rule_list, rule_manual, rules_markdown};
pub use options::Options;
pub use table::table;
