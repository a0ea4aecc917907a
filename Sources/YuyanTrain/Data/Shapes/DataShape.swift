import YuyanFormats

/// How a row is written: whose format it is, and what its answers are for.
package struct DataShape: Sendable, Hashable, CustomStringConvertible {
    /// Where the turns are.
    package enum Base: String, Sendable, Hashable, CaseIterable {
        /// `{"text"}`.
        case text
        /// `{"instruction", "input", "output", "system", "history"}`.
        case alpaca
        /// `{"conversations": [{"from", "value"}], "system", "tools"}`.
        case sharegpt
        /// `{"conversation": [{"human", "assistant"}], "system"}`.
        case pairs = "pairs of human and assistant"
        /// `{"messages": [{"role", "content", "tool_calls"}], "tools"}`.
        case messages
        /// `{"system", "query", "response", "history"}`, or one of their other names.
        case queryResponse = "query and response"
        /// `{"prompt", "completion"}`, texts or messages.
        case prompt = "prompt and completion"
        /// `{"prompt"}` and any columns.
        case promptOnly = "prompt only"
        /// `{"chosen", "rejected"}`, each a whole conversation; also `chosen_messages`.
        case chosen = "chosen and rejected conversations"
    }

    /// What the answers are for.
    package enum Purpose: String, Sendable, Hashable, CaseIterable {
        case learning
        /// With a better and a worse answer.
        case preference
        /// With a verdict on the answer.
        case unpaired
        /// With a verdict on each step of the answer.
        case stepwise
    }

    package var base: Base
    package var purpose = Purpose.learning

    package var description: String {
        switch purpose {
        case .learning: base.rawValue
        case .preference: "\(base.rawValue), preference"
        case .unpaired: "\(base.rawValue), with a verdict"
        case .stepwise: "\(base.rawValue), stepwise"
        }
    }
}

/// The names of columns and roles that a data set's description may change.
///
/// Keys are LLaMA-Factory's; values that are nil leave the usual names.
struct ShapeNames: Sendable, Hashable {
    /// Whether the description says alpaca or sharegpt; nil looks at the rows.
    var base: DataShape.Base?
    var isRanking = false
    /// By LLaMA-Factory's name of the column: `prompt`, `query`, `response`, `history`, `messages`,
    /// `system`, `tools`, `chosen`, `rejected`, `kto_tag`.
    var columns: [String: String] = [:]
    /// By LLaMA-Factory's name of the tag: `role_tag`, `content_tag`, `user_tag`, `assistant_tag`,
    /// `observation_tag`, `function_tag`, `system_tag`.
    var tags: [String: String] = [:]

    func column(_ name: String, _ standard: String) -> String { columns[name] ?? standard }
    func tag(_ name: String, _ standard: String) -> String { tags[name] ?? standard }
}

extension DataShape {
    static let queryNames = ["query", "prompt", "input", "instruction", "question", "problem"]
    static let responseNames = [
        "response", "answer", "output", "target", "solution", "text", "completion", "content",
    ]

    /// The shape of a row by its columns; those that are null count as absent.
    ///
    /// - Throws: `RowFault` if no shape has such columns.
    init(of fields: JSONCursor, _ names: ShapeNames) throws(RowFault) {
        var keys: Set<String> = []
        fields.forEachEntry { key, value in
            if !value.isNull {
                keys.insert(key.withUnsafeBytes { String(decoding: $0, as: UTF8.self) })
            }
        }
        if let key = ["images", "videos", "audios"].first(where: { fields[$0]?.count ?? 0 > 0 }) {
            throw RowFault(key, fields[key], expected: "text only; pictures and sound are not read")
        }
        let base: Base
        if let given = names.base {
            base = given
        } else if keys.contains("messages") {
            base = .messages
        } else if keys.contains("conversations") {
            base = .sharegpt
        } else if keys.contains("conversation") {
            base = .pairs
        } else if keys.contains("instruction") {
            base = .alpaca
        } else if keys.isSuperset(of: ["prompt", "completion"])
            || keys.isSuperset(of: ["prompt", "completions"])
            || keys.isSuperset(of: ["prompt", "chosen", "rejected"])
        {
            base = .prompt
        } else if keys.isSuperset(of: ["chosen", "rejected"])
            || keys.isSuperset(of: ["chosen_messages", "rejected_messages"])
        {
            base = .chosen
        } else if Self.queryResponse(keys) != nil {
            base = .queryResponse
        } else if keys.contains("text") {
            base = .text
        } else if keys.contains("prompt") {
            base = .promptOnly
        } else {
            throw RowFault(
                "the row", "an object with \(keys.sorted().prefix(8).joined(separator: ", "))",
                expected: "columns of a known shape: text; instruction, output; conversations; "
                    + "messages; query, response; prompt, completion; prompt, chosen, rejected")
        }
        self.init(base: base, purpose: try Self.purpose(base, keys, fields, names))
    }

    private static func purpose(
        _ base: Base, _ keys: Set<String>, _ fields: JSONCursor, _ names: ShapeNames
    ) throws(RowFault) -> Purpose {
        if let key = ["positive_messages", "negative_messages"].first(where: keys.contains) {
            throw RowFault(
                key, "a column", expected: "none: rows for embeddings are not for language models")
        }
        if names.isRanking { return .preference }
        if let tag = names.columns["kto_tag"] ?? (keys.contains("kto_tag") ? "kto_tag" : nil) {
            guard fields[tag]?.bool != nil else {
                throw RowFault(tag, fields[tag], expected: "true or false")
            }
            return .unpaired
        }
        if names.base != nil { return .learning }
        if base == .chosen { return .preference }
        if base == .prompt, keys.isSuperset(of: ["completions", "labels"]) { return .stepwise }
        if keys.isSuperset(of: ["chosen", "rejected"]) { return .preference }
        if keys.contains("rejected_response") || keys.contains("rejected_messages") {
            return .preference
        }
        guard keys.contains("label"), base != .text, base != .promptOnly else { return .learning }
        guard fields["label"]?.bool != nil else {
            throw RowFault(
                "label", fields["label"],
                expected: "true or false; classes and scores are not for language models")
        }
        return .unpaired
    }

    /// The columns that stand for a question and its answer.
    static func queryResponse(_ keys: Set<String>) -> (query: String, response: String)? {
        guard let query = queryNames.first(where: keys.contains),
            let response = responseNames.first(where: keys.contains)
        else { return nil }
        return (query, response)
    }
}
