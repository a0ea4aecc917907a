import ArgumentParser

/// The command line: one subcommand a file, listed here.
@main
struct Yuyan: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "yuyan",
        abstract: "Read, run and measure large language models.",
        version: "0.1.0",
        subcommands: [Generate.self, PerplexityCommand.self, Bench.self, Doctor.self])
}
