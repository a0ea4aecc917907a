import ArgumentParser

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// What commands that read recipes have in common.
enum RecipeCommand {
    /// What `${NAME}` in a recipe's path means.
    static func environment(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }
    }

    /// Where `scripts/fetch-data` puts data sets.
    static var fetchedFolder: String { CachedModels.folder + "/data" }

    /// Reports a mistake as the parser does, which does not know the keys; the code to exit with.
    static func wrong(_ reason: String, of command: any ParsableCommand.Type) -> ExitCode {
        let configuration = command.configuration
        Terminal.report(
            "Error: \(reason)\nUsage: \(configuration.usage ?? "")\n  See 'yuyan "
                + "\(command._commandName) --help' for more information.")
        return .validationFailure
    }
}
