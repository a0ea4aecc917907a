import ArgumentParser
import YuyanFormats
import YuyanText

struct Tokenize: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Turn text into token ids, or ids back into text.",
        discussion: """
            Examples:
              yuyan tokenize --model smollm2-135m --text "Hello, world" --pieces
              yuyan tokenize --model smollm2-135m --file book.txt --json > ids.json
              yuyan tokenize --model smollm2-135m --file ids.json --decode

            The text is plain text: special tokens written in it stay text unless --parse-special. \
            The tokens that the model wants around every text (BOS) are added as its tokenizer says.

            Without --json, ids are printed on one line, and decoded text byte for byte. With --json: \
            {"ids": [...]}, with --pieces also "pieces"; with --decode {"text": "..."}. What is \
            decoded may be {"ids": [...]}, a JSON array, or ids with white space between.
            """)

    @Option(help: "A GGUF file, a Hugging Face directory, or a cached name.")
    var model: String
    @Option(help: "A UTF-8 file to read; - is standard input.")
    var file: String?
    @Option(help: "The text itself, instead of a file.")
    var text: String?
    @Flag(help: "Read ids and write their text.")
    var decode = false
    @Flag(help: "Special tokens written in the text become those tokens.")
    var parseSpecial = false
    @Flag(inversion: .prefixedNo, help: "Whether the tokens around every text are added.")
    var addSpecial = true
    @Flag(help: "Leave special tokens out of decoded text.")
    var skipSpecial = false
    @Flag(help: "Show each token's text.")
    var pieces = false
    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        guard (file == nil) != (text == nil) else {
            throw ValidationError(
                file == nil
                    ? "Give --text TEXT or --file FILE (- is standard input)."
                    : "Give --text or --file, not both.")
        }
        guard !decode || !(parseSpecial || pieces) else {
            throw ValidationError("--decode reads ids; --parse-special and --pieces are for text.")
        }
        guard decode || !skipSpecial else {
            throw ValidationError("--skip-special is for --decode.")
        }
    }

    func run() throws {
        let tokenizer = try Tokenizer(path: CachedModels.path(of: model))
        if decode {
            let ids = try idList(tokenizer)
            writeText(of: ids, tokenizer)
        } else {
            let input = try text ?? InputFile.text(file ?? "-")
            writeIDs(
                tokenizer.encode(input, parseSpecial: parseSpecial, addSpecial: addSpecial),
                tokenizer)
        }
    }

    private func writeIDs(_ ids: [Int32], _ tokenizer: Tokenizer) {
        if json {
            var entries: [(key: String, value: JSONOutput)] = [
                ("ids", .array(ids.map { .integer(Int($0)) }))
            ]
            if pieces {
                entries.append(("pieces", .array(ids.map { .string(tokenizer.text(of: $0)) })))
            }
            Terminal.write(JSONOutput.object(entries).description + "\n")
        } else if pieces {
            var table = Table(left: [2])
            for (position, id) in ids.enumerated() {
                table.add("\(position)", "\(id)", "'" + tokenizer.text(of: id).printable + "'")
            }
            Terminal.write(table.text)
        } else {
            Terminal.write(ids.map { "\($0)" }.joined(separator: " ") + "\n")
        }
    }

    private func writeText(of ids: [Int32], _ tokenizer: Tokenizer) {
        if json {
            let text = tokenizer.decode(ids, skipSpecial: skipSpecial)
            Terminal.write(JSONOutput.object([("text", .string(text))]).description + "\n")
            return
        }
        var bytes: [UInt8] = []
        for id in ids where !(skipSpecial && tokenizer.isSpecial(id)) {
            bytes += tokenizer.bytes(of: id)
        }
        Terminal.write(bytes)
        if Terminal.outputIsTerminal { Terminal.write("\n") }
    }

    private func idList(_ tokenizer: Tokenizer) throws -> [Int32] {
        let name = text != nil ? "--text" : file == "-" ? "standard input" : file ?? ""
        let bytes = try text.map { Array($0.utf8) } ?? InputFile.bytes(file ?? "-")
        let ids = try TokenList.ids(in: bytes, name: name)
        if let position = ids.firstIndex(where: { $0 < 0 || Int($0) >= tokenizer.vocabularySize }) {
            throw TokenListError.outside(
                name: name, position: position, id: ids[position], count: tokenizer.vocabularySize)
        }
        return ids
    }
}

/// Token ids as people and scripts write them.
enum TokenList {
    /// Reads `{"ids": [...]}`, `[...]`, or numbers with white space between.
    ///
    /// - Throws: `FormatError.json`, or `TokenListError` at the first value that is no id.
    static func ids(in bytes: [UInt8], name: String) throws -> [Int32] {
        let first = bytes.first { !isSpace($0) }
        guard first == UInt8(ascii: "{") || first == UInt8(ascii: "[") else {
            return try plainIDs(in: bytes, name: name)
        }
        let root = try JSONDocument(bytes: bytes, name: name).root
        let values = root.kind == .object ? try root.array("ids") : root.array
        guard let values else { return [] }
        return try values.enumerated().map { position, value in
            guard let number = value.int, let id = Int32(exactly: number) else {
                throw TokenListError.notAnID(
                    name: name, position: position, found: "a \(value.kind)")
            }
            return id
        }
    }

    private static func plainIDs(in bytes: [UInt8], name: String) throws -> [Int32] {
        try bytes.split(whereSeparator: isSpace).enumerated().map { position, word in
            let text = String(decoding: word, as: UTF8.self)
            guard let id = Int32(text) else {
                throw TokenListError.notAnID(
                    name: name, position: position,
                    found: "'\(text.printable.abbreviated(to: 40))'")
            }
            return id
        }
    }

    private static func isSpace(_ byte: UInt8) -> Bool {
        byte == 0x20 || (0x09...0x0D).contains(byte)
    }
}

/// Ids that cannot be decoded.
enum TokenListError: Error, Equatable, CustomStringConvertible {
    case notAnID(name: String, position: Int, found: String)
    case outside(name: String, position: Int, id: Int32, count: Int)

    var description: String {
        switch self {
        case .notAnID(let name, let position, let found):
            "\(name): value \(position) is \(found), expected a token id"
        case .outside(let name, let position, let id, let count):
            "\(name): value \(position) is \(id), expected 0 to \(count - 1); "
                + "are the ids of this model?"
        }
    }
}

extension Tokenizer {
    /// The tokenizer of a model's path; a directory needs no weights for that.
    convenience init(path: String) throws {
        if InputFile.isFolder(path) {
            try self.init(directory: path)
        } else {
            try self.init(gguf: GGUFFile(path: path))
        }
    }
}
