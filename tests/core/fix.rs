//! What `volgate fix` writes, over all fixtures that are refused for their data and over every product of the catalog.

use crate::support::fixed::{fixed, fixtures, products};
use crate::support::say;

/// Products whose data lie by default where a volume would hide what the image brings: in the root directory, beside the program.
const AMONG_THE_IMAGES_FILES: [&str; 2] = ["TiKV as ", "Tandoor Recipes as "];

#[test]
fn nine_of_ten_fixtures_and_all_products_are_fixed() {
    for (what, cases, least) in [("fixtures", fixtures(), 90), ("products", products(), 100)] {
        let (texts, mut open) = fixed(&cases);
        open.retain(|case, _| !AMONG_THE_IMAGES_FILES.iter().any(|product| case.starts_with(product)));
        let denied = texts.len() + open.len();
        say(&format!("{what}: {} of {denied} that are refused are fixed; not fixed: {open:#?}", texts.len()));
        assert!(
            denied > 0 && texts.len() * 100 >= denied * least,
            "{what}: {} of {denied}: {open:#?}",
            texts.len()
        );
    }
}
