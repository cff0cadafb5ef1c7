//! Compiles one module from standard input to standard output, within limits of its own: what
//! [`pelton_engine::EngineConfig::compiler`] names, as a program of its own. `pelton` is its own compiler, by a hidden subcommand.

fn main() -> std::process::ExitCode {
    pelton_engine::compile_on_stdio()
}
