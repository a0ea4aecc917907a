import YuyanEngine
import YuyanFormats
import YuyanText

/// One request of `chat --json`: messages, and settings that differ from the command's.
struct ChatRequest {
    let messages: [TemplateValue]
    let tools: [TemplateValue]?
    private let maxTokens: Int?
    private let temperature: Double?
    private let topP: Double?
    private let seed: Int?

    /// Reads a list of messages, or an object with them.
    ///
    /// - Throws: `FormatError` naming the request and the key.
    init(_ text: String, name: String) throws {
        let root = try JSONDocument(bytes: Array(text.utf8), name: name).root
        if let list = root.array {
            messages = try Self.messages(list, name: name)
            (tools, maxTokens, temperature, topP, seed) = (nil, nil, nil, nil, nil)
            return
        }
        let known = ["messages", "tools", "max_tokens", "temperature", "top_p", "seed"]
        if let other = root.entries?.first(where: { !known.contains($0.key) }) {
            throw FormatError.badValue(
                file: name, key: other.key, found: "not a key of a request",
                expected: known.joined(separator: ", "))
        }
        messages = try Self.messages(root.array("messages"), name: name)
        tools = try root["tools"].flatMap { $0.isNull ? nil : try root.array("tools") }
            .map { $0.map { TemplateValue(json: $0) } }
        maxTokens = try root.optionalInt("max_tokens")
        temperature = try root.optionalDouble("temperature")
        topP = try root.optionalDouble("top_p")
        seed = try root.optionalInt("seed")
    }

    var hasSystem: Bool {
        messages.contains { message in
            guard case .object(let object) = message else { return false }
            return object["role"] == "system"
        }
    }

    func applied(to parameters: SamplingParameters) -> SamplingParameters {
        var result = parameters
        if let maxTokens { result.maxTokens = maxTokens }
        if let temperature { result.temperature = Float(temperature) }
        if let topP { result.topP = Float(topP) }
        if let seed { result.seed = UInt64(bitPattern: Int64(seed)) }
        return result
    }

    private static func messages(_ list: JSONElements, name: String) throws -> [TemplateValue] {
        var result: [TemplateValue] = []
        for message in list {
            guard message.kind == .object else {
                throw FormatError.wrongType(
                    file: name, key: "messages[\(result.count)]", found: "\(message.kind)",
                    expected: "an object with role and content")
            }
            _ = try message.string("role")
            result.append(TemplateValue(json: message))
        }
        guard !result.isEmpty else {
            throw FormatError.badValue(
                file: name, key: "messages", found: "empty", expected: "at least one message")
        }
        return result
    }
}

/// Cuts a stream of lines where a JSON value is complete, so that one may span lines.
struct JSONSplitter {
    private var text = ""
    private var depth = 0
    private var isInString = false
    private var isEscaped = false

    /// Takes a line; returns the value that ends with it, if one does.
    mutating func append(_ line: String) -> String? {
        text += text.isEmpty ? line : "\n" + line
        for byte in line.utf8 {
            if isEscaped {
                isEscaped = false
            } else if isInString {
                if byte == UInt8(ascii: "\\") { isEscaped = true }
                if byte == UInt8(ascii: "\"") { isInString = false }
            } else {
                switch byte {
                case UInt8(ascii: "\""): isInString = true
                case UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
                case UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
                default: break
                }
            }
        }
        return depth <= 0 && !isInString ? take() : nil
    }

    /// What came after the last complete value.
    var rest: String? { text.allSatisfy(\.isWhitespace) ? nil : text }

    private mutating func take() -> String? {
        defer { self = JSONSplitter() }
        return rest
    }
}
