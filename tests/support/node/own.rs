//! volgate's own image, made of its static binary as `docs/install.md` tells.

use super::image::Image;
use super::requirements::system;
use std::path::Path;
use std::process::Command;

/// The name by which `manifests/` call it.
pub const OWN_IMAGE: &str = concat!("docker.io/library/volgate:", env!("CARGO_PKG_VERSION"));

/// Builds the static binary, where it is not fresh, and makes an image of nothing but it.
///
/// # Errors
/// What cargo said, as a text.
pub fn volgate() -> Result<Image, String> {
    own_image("dev")
}

/// The same, as it is shipped: for figures.
///
/// # Errors
/// What cargo said, as a text.
pub fn optimised_volgate() -> Result<Image, String> {
    own_image("shipped")
}

fn own_image(profile: &str) -> Result<Image, String> {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = sources.join("target/static");
    super::super::say("building volgate's static binary in target/static, 4 minutes the first time");
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--quiet", "--locked", "--bin", "volgate", "--profile", profile, "--target", &target])
        .arg("--target-dir")
        .arg(&folder);
    // Small, and quick to make: it is kept beside the tests' own build of all the same crates.
    cargo.env("CARGO_PROFILE_DEV_DEBUG", "0").env("CARGO_INCREMENTAL", "0").current_dir(sources);
    cargo.env_remove("CARGO_ENCODED_RUSTFLAGS").env(
        "RUSTFLAGS",
        "-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs -C strip=symbols",
    );
    system(&mut cargo)?;
    // The folder of the profile `dev` is called so for historical reasons of cargo's.
    let directory = if profile == "dev" { "debug" } else { profile };
    let binary = folder.join(target).join(directory).join("volgate");
    Ok(Image::new(OWN_IMAGE).file(binary, "/volgate").entrypoint(&["/volgate"]))
}
