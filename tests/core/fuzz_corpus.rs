//! The inputs that fuzzing found worth keeping (fuzz/README.md) still do no harm.
#![allow(unreachable_pub)]

#[path = "../../fuzz/src/targets.rs"]
mod targets;

use std::fs;
use std::path::Path;

#[test]
fn every_input_of_the_corpus_is_answered() {
    targets::warm_up();
    for (name, target) in targets::TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
        let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let mut count = 0;
        for entry in entries {
            target(&fs::read(entry.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count > 0, "{} is empty", folder.display());
    }
}
