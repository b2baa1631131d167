//! `neap`: see [`neap_nodes::cli`].
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    neap_nodes::cli::main(std::env::args_os().collect())
}
