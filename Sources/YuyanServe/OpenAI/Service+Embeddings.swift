import YuyanEngine
import YuyanFormats

/// The fields of `/v1/embeddings`.
enum EmbeddingFields {
    static func table(_ limits: ServiceConfiguration, token: FieldKind) -> [Field] {
        let count = 1...limits.maxPrompts
        let ids = FieldKind.list(token, count: 1...(1 << 20))
        let text = FieldKind.string(minBytes: 1, maxBytes: 64 << 20)
        return [
            Field(
                "input",
                .either([text, .list(text, count: count), ids, .list(ids, count: count)]),
                required: true),
            Field("model", .model), Field("encoding_format", .choice(["float", "base64"])),
            Field("dimensions", .integer(1...(1 << 20))), Field("user", .string(maxBytes: 4096)),
            Field("pooling", .choice(EmbeddingRequest.Pooling.allCases.map(\.rawValue))),
            Field("normalize", .boolean),
        ]
    }
}

extension Service {
    /// Answers `/v1/embeddings`.
    func embeddings(
        _ request: ServiceRequest, _ timer: RequestTimer
    ) async throws -> ServiceResponse {
        let body = try RequestBody(bytes: request.body, tables.embeddings)
        let (model, adapter) = try adapter(named: body.string("model"))
        guard let input = body["input"] else { throw RequestError.body("'input' is missing") }
        let texts = CompletionFields.prompts(
            input, tokenizer: text.tokenizer, addSpecial: true, parseSpecial: false)
        for (index, prompt) in texts.enumerated() where prompt.ids.isEmpty {
            throw RequestError.field(
                param: texts.count > 1 ? "input[\(index)]" : "input",
                message: "is empty; expected at least one token")
        }
        for prompt in texts { try check(length: prompt.ids.count, answer: false) }
        let total = texts.reduce(0) { $0 + $1.ids.count }
        timer.update {
            $0.ignoredFields = body.ignored
            $0.model = model
            $0.promptTokens = total
        }
        var wanted = EmbeddingRequest(texts: texts.map(\.ids))
        wanted.adapter = adapter
        wanted.client = request.client
        let normalizes = body.optionalBool("normalize") ?? true
        let dimensions = body.int("dimensions")
        wanted.normalizes = normalizes
        if let pooling = body.string("pooling").flatMap({ EmbeddingRequest.Pooling(rawValue: $0) })
        {
            wanted.pooling = pooling
        }
        var vectors = try await engine.embed(wanted)
        if let dimensions {
            guard let width = vectors.first?.count, dimensions <= width else {
                throw RequestError.field(
                    param: "dimensions",
                    message: "is \(dimensions); expected at most \(vectors.first?.count ?? 0), the "
                        + "model's width")
            }
            vectors = vectors.map { $0.shortened(to: dimensions, normalizes: normalizes) }
        }
        let isPacked = body.string("encoding_format") == "base64"
        let data = vectors.enumerated().map { index, vector in
            JSONOutput.object([
                ("object", "embedding"), ("index", .integer(index)),
                (
                    "embedding",
                    isPacked ? .string(vector.base64) : .array(vector.map { .float($0) })
                ),
            ])
        }
        return .json([
            "object": "list", "data": .array(data), "model": .string(model),
            "usage": ["prompt_tokens": .integer(total), "total_tokens": .integer(total)],
        ])
    }
}

extension [Float] {
    /// The first elements, scaled to length 1 again if they were.
    func shortened(to count: Int, normalizes: Bool) -> [Float] {
        let kept = Array(prefix(count))
        guard normalizes, count < self.count else { return kept }
        let squares = kept.reduce(0.0) { $0 + Double($1) * Double($1) }
        let scale = squares > 0 ? 1 / squares.squareRoot() : 0
        return kept.map { Float(Double($0) * scale) }
    }

    /// Little-endian bytes of the numbers in the alphabet of RFC 4648, section 4.
    var base64: String {
        let alphabet = [UInt8](
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count * 4)
        for value in self {
            for shift in stride(from: UInt32(0), to: 32, by: 8) {
                bytes.append(UInt8(truncatingIfNeeded: value.bitPattern >> shift))
            }
        }
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<Swift.min(start + 3, bytes.count)]
            var word: UInt32 = 0
            for offset in 0..<3 {
                word = word << 8 | (offset < group.count ? UInt32(group[start + offset]) : 0)
            }
            for digit in 0..<4 {
                let value = Int(word >> (18 - 6 * UInt32(digit)) & 63)
                text.append(digit <= group.count ? alphabet[value] : UInt8(ascii: "="))
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
