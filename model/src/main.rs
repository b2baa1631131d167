//! `neap-model`: checks, explores, simulates and replays the core; see [`neap_model::cli`].
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    neap_model::cli::main()
}
