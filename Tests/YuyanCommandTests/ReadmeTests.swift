import ArgumentParser
import Testing

@testable import yuyan

/// The words of a text that are options, such as `--max-tokens`.
private func options(in text: String) -> Set<String> {
    let words = text.split { !(("a"..."z").contains($0) || $0 == "-") }
    return Set(words.filter { $0.hasPrefix("--") && $0.dropFirst(2).first != "-" }.map(String.init))
        .subtracting(["--"])
}

@Suite("README")
struct ReadmeTests {
    @Test("shows every command and every option", arguments: ["README.md", "README.zh-CN.md"])
    func commands(_ name: String) throws {
        let readme = try Repository.text(name)
        let shown = options(in: readme)
        for command in Yuyan.configuration.subcommands {
            #expect(readme.contains("yuyan \(command._commandName) "), "\(command._commandName)")
            let help = Yuyan.helpMessage(for: command, columns: 1000)
            let missing = options(in: help).subtracting(shown)
            #expect(missing.isEmpty, "\(command._commandName): \(missing.sorted())")
        }
    }

    @Test("shows no command that is not there", arguments: ["README.md", "README.zh-CN.md"])
    func onlyCommands(_ name: String) throws {
        let known = Set(Yuyan.configuration.subcommands.map { $0._commandName })
        var shown: Set<String> = []
        for line in try Repository.text(name).split(separator: "\n") where line.contains("$ ") {
            let words = line.split(separator: " ")
            for (word, next) in zip(words, words.dropFirst()) where word == "yuyan" {
                shown.insert(String(next))
            }
        }
        #expect(shown == known)
    }

    @Test("options are told from rules and dashes")
    func optionWords() {
        #expect(options(in: "| --- | `--top-k K`, --kv=f16 | --") == ["--top-k", "--kv"])
    }
}
