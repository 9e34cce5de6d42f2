use super::say;
use crate::catalog::Catalog;
use anyhow::Result;
use serde_json::json;
use std::process::ExitCode;

/// Say which volgate this is: its commit, the date of its catalog, and the version of Kubernetes that it knows
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum Format {
    /// For people
    #[default]
    Text,
    /// One JSON object
    Json,
}

/// The version of Kubernetes whose objects are read; a test holds it to the API types of the build.
const KUBERNETES: &str = "1.37";

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let version = env!("CARGO_PKG_VERSION");
    // Whoever builds a release says which commit it is made of.
    let commit = option_env!("VOLGATE_COMMIT").filter(|commit| !commit.is_empty());
    let catalog = Catalog::embedded().date();
    let parts = [
        ("serve", cfg!(feature = "serve")),
        ("cluster", cfg!(feature = "cluster")),
        ("agent", cfg!(feature = "agent")),
    ];
    let parts: Vec<&str> = parts.into_iter().filter(|(_, is_in)| *is_in).map(|(name, _)| name).collect();
    match args.format {
        Format::Text => {
            let features =
                if parts.is_empty() { "none: checks files alone".to_owned() } else { parts.join(", ") };
            let commit = commit.unwrap_or("not known");
            say(&format!(
                "volgate {version}\ncommit: {commit}\ncatalog: {catalog}\nKubernetes: {KUBERNETES}\nfeatures: {features}\n"
            ))?;
        }
        Format::Json => {
            let fields = json!({
                "version": version, "commit": commit, "catalog": catalog, "kubernetes": KUBERNETES, "features": parts,
            });
            say(&format!("{fields:#}\n"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_kubernetes_is_that_of_its_types() {
        let manifest = include_str!("../../Cargo.toml");
        let feature = format!("\"v{}\"", KUBERNETES.replace('.', "_"));
        let types = manifest.lines().filter(|line| line.starts_with("k8s-openapi"));
        assert!(types.clone().count() > 0 && types.clone().all(|line| line.contains(&feature)));
        assert!(Catalog::embedded().date().parse::<jiff::civil::Date>().is_ok());
    }
}
