import ArgumentParser
import Testing
import YuyanEngine

@testable import yuyan

@Suite("Command line")
struct ArgumentTests {
    @Test(
        "wrong arguments are usage errors",
        arguments: [
            ["chat", "--model", "m", "--max-tokens", "0"],
            ["chat", "--model", "m", "--chunk", "0"],
            ["chat", "--model", "m", "--threads", "0"],
            ["chat", "--model", "m", "--kv", "f8"],
            ["chat"],
            ["generate", "--model", "m"],
            ["generate", "--model", "m", "--prompt", "p", "--max-tokens", "-1"],
            ["tokenize", "--model", "m"],
            ["tokenize", "--model", "m", "--file", "f", "--text", "t"],
            ["tokenize", "--model", "m", "--text", "t", "--decode", "--pieces"],
            ["tokenize", "--model", "m", "--text", "t", "--skip-special"],
            ["inspect"],
            ["inspect", "m", "--model", "m"],
            ["inspect", "m", "--context", "0"],
            ["inspect", "m", "--chunk", "-5"],
            ["nonsense"],
        ])
    func usage(_ arguments: [String]) throws {
        let error = #expect(throws: (any Error).self) { try Yuyan.parseAsRoot(arguments) }
        #expect(Yuyan.exitCode(for: try #require(error)) == .validationFailure)
    }

    @Test("right arguments are taken as written")
    func parsing() throws {
        let chat = try #require(
            try Yuyan.parseAsRoot([
                "chat", "--model", "m", "--system", "s", "--temperature", "0", "--json",
            ]) as? Chat)
        #expect(chat.model == "m" && chat.system == "s" && chat.json)
        let greedy = try chat.sampling.parameters(maxTokens: 3, defaults: (0.6, 0.9))
        #expect(greedy.temperature == 0 && greedy.topP == 0.9 && greedy.maxTokens == 3)
        let tokenize = try #require(
            try Yuyan.parseAsRoot([
                "tokenize", "--model", "m", "--file", "-", "--no-add-special", "--parse-special",
            ]) as? Tokenize)
        #expect(tokenize.file == "-" && !tokenize.addSpecial && tokenize.parseSpecial)
        let inspect = try #require(
            try Yuyan.parseAsRoot(["inspect", "m", "--tensors"]) as? Inspect)
        #expect(inspect.path == "m" && inspect.tensors && !inspect.metadata)
    }

    @Test("every command explains itself with an example")
    func help() {
        for command in Yuyan.configuration.subcommands {
            let help = Yuyan.helpMessage(for: command, columns: 100)
            #expect(help.contains("Example"), "\(command)")
            #expect(help.contains("yuyan \(command._commandName) "), "\(command)")
        }
    }

    @Test("a name that is not cached is named with what is known")
    func unknownModel() {
        let error = #expect(throws: CommandError.self) { try CachedModels.path(of: "smollm3") }
        #expect(error?.description.contains("'smollm3'") == true)
        #expect(error?.description.contains("smollm2-135m") == true)
    }
}
