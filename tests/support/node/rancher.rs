//! rancher's local-path provisioner, whose place volgate takes: built from its Go module, as its own image is.

use super::super::kept::kept;
use super::image::Image;
use super::requirements::{how_to_go_on, system};
use std::path::Path;
use std::process::Command;

const MODULE: &str = "github.com/rancher/local-path-provisioner";
/// The newest version that the Go module proxy has.
const VERSION: &str = "v0.0.30";

/// Its image, by the name that `tests/experiments/12-takeover/rancher.yaml` has.
///
/// # Errors
/// What Go said, as a text.
pub fn rancher() -> Result<Image, String> {
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/rancher");
    let what = "rancher's local-path provisioner with Go, 2 minutes the first time";
    let made = kept(&cache, VERSION, what, |half| {
        let mut go = Command::new("go");
        go.args(["install", "-trimpath", "-ldflags", "-s -w", &format!("{MODULE}@{VERSION}")]);
        system(go.env("GOBIN", half).env("CGO_ENABLED", "0")).map_err(|e| how_to_go_on(&e))?;
        Ok(())
    })?;
    Ok(Image::new("volgate.test/rancher-local-path:1")
        .file(made.join("local-path-provisioner"), "/local-path-provisioner"))
}
