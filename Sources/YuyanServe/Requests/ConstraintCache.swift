import YuyanText
import Synchronization
import YuyanConstraints
import YuyanFormats

/// Compiled constraints by their source, the least recently used forgotten first.
///
/// Compiling takes longer than looking at a few thousand bytes of source, and clients send the
/// same schema with every request.
final class ConstraintCache: Sendable {
    private struct State {
        var entries: [String: (constraint: CompiledConstraint, lastUse: Int)] = [:]
        var clock = 0
        var vocabulary: ConstraintVocabulary?
    }

    private let capacity: Int
    private let text: ServedText
    private let state = Mutex(State())

    init(text: ServedText, capacity: Int) {
        self.text = text
        self.capacity = max(1, capacity)
    }

    /// The compiled form of a constraint, for an answer of at most so many tokens.
    ///
    /// An answer too short to be completed would break the promise that it has the form.
    ///
    /// - Throws: `.field` naming the field that asked, if it cannot be compiled within bounds, or
    ///   `max_tokens` if that leaves no room for the shortest answer of the form.
    func compiled(
        _ wanted: FieldConstraint, maxBytes: Int, answerTokens: Int?
    ) throws(RequestError) -> CompiledConstraint {
        let constraint = try compiled(wanted, maxBytes: maxBytes)
        let least = constraint.start().sufficientTokens
        guard let answerTokens, answerTokens > 0, answerTokens < least else { return constraint }
        throw .field(
            param: "max_tokens",
            message: "is \(answerTokens), but the shortest answer that '\(wanted.param)' allows "
                + "takes \(least) tokens; raise it")
    }

    private func compiled(
        _ wanted: FieldConstraint, maxBytes: Int
    ) throws(RequestError) -> CompiledConstraint {
        let key = wanted.source.key
        guard key.utf8.count <= maxBytes else {
            throw .field(
                param: wanted.param,
                message: "takes \(key.utf8.count) bytes; expected at most \(maxBytes)")
        }
        let known = state.withLock { state -> CompiledConstraint? in
            state.clock += 1
            state.entries[key]?.lastUse = state.clock
            return state.entries[key]?.constraint
        }
        if let known { return known }
        let made: CompiledConstraint
        do {
            made = try CompiledConstraint(wanted.source, vocabulary: vocabulary())
        } catch {
            throw .field(param: wanted.param, message: "cannot be used: \(error)")
        }
        state.withLock { state in
            state.clock += 1
            state.entries[key] = (made, state.clock)
            if state.entries.count > capacity,
                let oldest = state.entries.min(by: { $0.value.lastUse < $1.value.lastUse })
            {
                state.entries[oldest.key] = nil
            }
        }
        return made
    }

    /// The bytes of every token that writes text; special tokens write none.
    private func vocabulary() -> ConstraintVocabulary {
        if let known = state.withLock({ $0.vocabulary }) { return known }
        let tokenizer = text.tokenizer
        let made = ConstraintVocabulary(
            tokens: tokenizer.textTokens, endTokens: tokenizer.endOfGeneration)
        return state.withLock { state in
            state.vocabulary = state.vocabulary ?? made
            return state.vocabulary ?? made
        }
    }
}

extension ConstraintSource {
    /// A text that differs for different constraints.
    var key: String {
        switch self {
        case .jsonSchema(let schema): "schema " + JSONOutput(schema).description
        case .jsonObject: "object"
        case .regex(let text): "regex " + text
        case .gbnf(let text): "gbnf " + text
        case .choice(let texts):
            "choice " + JSONOutput.array(texts.map { .string($0) }).description
        case .tagged(let free, let tags, let atLeastOne, let atMostOne):
            "tagged \(free) \(atLeastOne) \(atMostOne) "
                + JSONOutput.array(
                    tags.map {
                        [
                            .string($0.begin), .integer($0.space), .string($0.body.key),
                            .string($0.end),
                        ]
                    }
                ).description
        }
    }
}
