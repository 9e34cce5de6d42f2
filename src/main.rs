//! volgate's binary; everything lives in the library.

fn main() -> std::process::ExitCode {
    volgate::cli::run()
}
