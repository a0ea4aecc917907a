import ArgumentParser
import YuyanTrain

/// The command line: one subcommand a file, listed here.
@main
struct Yuyan: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "yuyan",
        abstract: "Read, run, train and measure large language models.",
        version: "0.1.0",
        subcommands: [
            Generate.self, Chat.self, Tokenize.self, Inspect.self, PerplexityCommand.self,
            Serve.self, Train.self, Pipeline.self, Eval.self, Adapter.self, Bench.self,
            Doctor.self,
        ])

    /// Runs a subcommand: its failures are one line on stderr and exit code 1, usage errors are 64.
    static func main() {
        var command: any ParsableCommand
        do { command = try parseAsRoot() } catch { exit(withError: error) }
        do {
            try command.run()
        } catch let error where Yuyan.exitCode(for: error) != .failure {
            // Requests for help, usage errors and exit codes that a command chose.
            exit(withError: error)
        } catch let interruption as Interruption {
            Terminal.report("\(interruption)")
            exit(withError: ExitCode(128 + interruption.signal))
        } catch {
            Terminal.report("error: \(error)")
            exit(withError: ExitCode.failure)
        }
    }
}
