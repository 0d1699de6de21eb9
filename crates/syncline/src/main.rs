//! The `syncline` program.

// Built without huge pages, which hold memory that nothing uses.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    syncline::cli::main()
}
