import TestSupport
import Testing
import YuyanFormats
import YuyanText

@Suite("A saved tokenizer")
struct TokenizerFilesTests {
    private static let cases = ["smollm", "qwen2", "llama3", "gpt2"]
    private let folder = TemporaryFolder()

    /// A folder with one of the reference tokenizers.
    private func source(_ name: String) throws -> String {
        let path = Goldens.path("tokenizers/\(name)")
        return path
    }

    private func texts() throws -> [String] {
        let root = try JSONDocument(path: Goldens.path("tokenizers/texts.json")).root
        return try root.array("texts").compactMap(\.string) + ["<|im_start|>user\nHi<|im_end|>"]
    }

    @Test("goes to GGUF and back without losing a byte", arguments: cases)
    func whole(_ name: String) throws {
        let directory = try source(name)
        let tokenizer = try Tokenizer(directory: directory)
        let vocabulary = try GGUFVocabulary(
            directory: directory, size: tokenizer.vocabularySize + 3)
        let path = folder.path + "/v.gguf"
        try GGUFWriter(metadata: vocabulary.entries).write([], to: path)
        let file = try GGUFFile(path: path)
        let files = try TokenizerFiles(gguf: file)
        let original = try MappedFile(path: directory + "/tokenizer.json")
        #expect(
            files.files[0].contents
                == original.withUnsafeBytes(in: 0..<original.count) { Array($0) })
        let read = try Tokenizer(gguf: file)
        // GGUF does not say that Qwen composes characters.
        for text in try texts() where name != "qwen2" || text.utf8.allSatisfy({ $0 < 128 }) {
            #expect(
                read.encode(text, parseSpecial: true, addSpecial: false)
                    == tokenizer.encode(text, parseSpecial: true, addSpecial: false), "\(text)")
        }
    }

    @Test("is rebuilt from a file that has no tokenizer.json", arguments: cases)
    func rebuilt(_ name: String) throws {
        let directory = try source(name)
        let tokenizer = try Tokenizer(directory: directory)
        let vocabulary = try GGUFVocabulary(
            directory: directory, size: tokenizer.vocabularySize)
        var writer = GGUFWriter(metadata: vocabulary.entries)
        writer["tokenizer.huggingface.json"] = nil
        writer["tokenizer.chat_template"] = .string("{{ messages }}")
        let path = folder.path + "/v.gguf"
        try writer.write([], to: path)
        let output = folder.path + "/out"
        try createFolder(output)
        try TokenizerFiles(gguf: GGUFFile(path: path)).write(to: output)
        let read = try Tokenizer(directory: output)
        #expect(read.vocabularySize == tokenizer.vocabularySize)
        #expect(read.chatTemplate == "{{ messages }}")
        for text in try texts() {
            let ids = read.encode(text, parseSpecial: true, addSpecial: false)
            #expect(
                ids == tokenizer.encode(text, parseSpecial: true, addSpecial: false), "\(text)")
            #expect(read.decode(ids) == tokenizer.decode(ids))
        }
    }

    @Test("of a directory is copied as it is")
    func copied() throws {
        _ = folder.file("tokenizer.json", Array("{}".utf8))
        _ = folder.file("chat_template.jinja", [0x61])
        _ = folder.file("other.txt", [0x62])
        let files = try TokenizerFiles(directory: folder.path)
        #expect(files.files.map(\.name) == ["tokenizer.json", "chat_template.jinja"])
        #expect(throws: TokenizerError.self) {
            try TokenizerFiles(directory: folder.path + "/nowhere")
        }
    }
}
