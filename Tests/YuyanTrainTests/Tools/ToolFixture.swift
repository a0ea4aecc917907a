import TestSupport
import Testing
import YuyanFormats
import YuyanText

@testable import YuyanTrain

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The tools that a recipe's text asks for.
func toolSet(_ yaml: String) throws -> ToolSet {
    let node = try YAMLDocument.value(yaml, name: "test")
    guard let tools = RecipeTools(node) else {
        throw RecipeError.wrongType(
            place: "r.yaml", key: "tools", found: node.summary, expected: RecipeTools.expectation)
    }
    return try tools.set(place: "r.yaml:3")
}

extension ToolSet {
    /// The replies to calls of one tool.
    func replies(_ name: String, _ arguments: String...) -> [ToolReply] {
        replies(
            to: arguments.map { (ToolCall(id: "c", name: name, arguments: $0), columns: []) })
    }
}

extension TemporaryFolder {
    /// The golden model with a context that holds descriptions of tools.
    func roomyModel() throws -> String {
        let file = try MappedFile(path: Goldens.path("models/gguf/llama-gqa.gguf"))
        var bytes = file.withUnsafeBytes(in: 0..<file.count) { Array($0) }
        let key = Array("llama.context_length".utf8) + [4, 0, 0, 0]
        let start = try #require(
            bytes.indices.first { bytes[$0...].starts(with: key) })
        let place = start + key.count
        try #require(Array(bytes[place..<place + 4]) == [128, 0, 0, 0])
        bytes[place + 1] = 8
        return self.file("roomy.gguf", bytes)
    }

    /// A tool for the shell, which reads calls in a loop: `id` prints the id of a line.
    func tool(_ script: String) throws -> String {
        let head = "#!/bin/sh\nid() { rest=${1#*'\"id\": '}; echo \"${rest%%,*}\"; }\n"
        let path = file("tool-\(names.count).sh", Array((head + script + "\n").utf8))
        guard chmod(path, 0o755) == 0 else { throw RewardFault("cannot change \(path)") }
        return path
    }
}
