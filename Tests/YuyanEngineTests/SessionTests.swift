import TestSupport
import Testing
import YuyanModels
import YuyanNN
import YuyanTensor

@testable import YuyanEngine

@Suite("Session")
struct SessionTests {
    private static let models = [
        "llama-gqa", "mistral-window", "qwen2-window", "qwen3", "rope-yarn", "rope-dynamic",
    ]

    private let device = Device(threads: 2)

    private func session(
        _ name: String = "llama-gqa", _ type: KeyValueType = .f16, chunk: Int = 512,
        limit: Int? = nil
    ) throws -> Session {
        let model = try Decoder(
            Checkpoint(path: Goldens.path("models/" + name)), on: device)
        return Session(
            model: model, device: device, keyValueType: type, chunkSize: chunk,
            contextLimit: limit)
    }

    private func tokens(_ count: Int, seed: UInt64 = 1) -> [Int32] {
        var random = SeededGenerator(seed: seed)
        return (0..<count).map { _ in .random(in: 3..<96, using: &random) }
    }

    private func bits(_ logits: Tensor) -> FloatBits { FloatBits(logits.values) }

    /// What a session that has seen nothing else gives.
    private func fresh(_ name: String, _ prompt: [Int32], _ type: KeyValueType = .f16) throws
        -> FloatBits
    {
        bits(try session(name, type).prefill(prompt))
    }

    @Test("gives the golden logits of the last token", arguments: ["llama-gqa", "rope-dynamic"])
    func golden(_ name: String) throws {
        let golden = try GoldenFile("models/\(name)/golden.safetensors")
        for sequence in 0...1 {
            let prompt = try golden.ints("ids.\(sequence)").map { Int32($0) }
            // The 47 tokens of the second are more than `rope-dynamic` was trained on.
            let model = try session(name, .f32, chunk: 5)
            let expected = try golden.floats("logits.\(sequence)").suffix(96)
            expectClose(
                try model.prefill(prompt).values, Array(expected), Tolerance(absolute: 1e-3), name)
        }
    }

    @Test(
        "reuses a common prefix without changing a bit", arguments: models, KeyValueType.allCases)
    func prefixes(_ name: String, _ type: KeyValueType) throws {
        let base = tokens(50)
        let used = try session(name, type, chunk: 9)
        // Dynamic NTK rotates anew past 32 tokens, the others never.
        for (kept, more) in [
            (0, 20), (20, 11), (10, 3), (13, 0), (12, 40), (50, 2), (12, 1), (20, 13), (20, 14),
            (1, 1), (0, 1),
        ] {
            let prompt = Array(base.prefix(kept)) + tokens(more, seed: UInt64(kept + 2))
            let before = used.reusableTokens(of: prompt)
            #expect(before < prompt.count)
            #expect(
                bits(try used.prefill(prompt)) == (try fresh(name, prompt, type)),
                "\(name), \(kept) tokens kept, \(before) reused")
            #expect(used.cachedTokens == prompt)
        }
    }

    @Test("takes as much of a prompt from its cache as it can")
    func reuse() throws {
        let used = try session()
        let prompt = tokens(50)
        #expect(used.reusableTokens(of: prompt) == 0)
        _ = try used.prefill(prompt)
        #expect(used.reusableTokens(of: prompt) == 49)
        #expect(used.reusableTokens(of: prompt + [5, 6]) == 50)
        #expect(used.reusableTokens(of: Array(prompt.prefix(20))) == 19)
        #expect(used.reusableTokens(of: Array(prompt.prefix(20)) + [96 - 1, 0]) >= 20)
        #expect(used.reusableTokens(of: [prompt[0] == 3 ? 4 : 3]) == 0)
    }

    @Test("decodes to what prefilling the longer prompt gives", arguments: models.dropLast())
    func decoding(_ name: String) throws {
        let prompt = tokens(70)
        let used = try session(name, chunk: 13)
        _ = try used.prefill(Array(prompt.prefix(29)))
        for count in 30...70 {
            let logits = bits(try used.decode(prompt[count - 1]))
            if count % 10 == 0 {
                let expected = try fresh(name, Array(prompt.prefix(count)))
                #expect(logits == expected, "\(count) tokens")
            }
        }
        #expect(used.cachedTokens == prompt)
    }

    @Test("forgets what it is told to, and continues as if it had never been")
    func truncation() throws {
        let prompt = tokens(75)
        let used = try session()
        _ = try used.prefill(prompt)
        for count in [75, 74, 64, 33, 32, 31, 1] {
            used.truncate(to: count)
            #expect(used.cachedTokens == Array(prompt.prefix(count)))
            let expected = try fresh("llama-gqa", Array(prompt.prefix(count)) + [9])
            #expect(bits(try used.decode(9)) == expected, "\(count) kept")
            used.truncate(to: count)
        }
        used.truncate(to: 0)
        #expect(used.cachedTokens.isEmpty)
        #expect(bits(try used.prefill(prompt)) == (try fresh("llama-gqa", prompt)))
    }

    @Test("can be filled to its limit again and again")
    func recycling() throws {
        let used = try session(limit: 70)
        for round in 0..<5 {
            let prompt = tokens(70, seed: UInt64(round))
            #expect(bits(try used.prefill(prompt)) == (try fresh("llama-gqa", prompt)))
            #expect(used.isFull)
        }
        // 70 tokens fit into three blocks.
        #expect(used.cache.allocatedBytes == 3 * used.cache.layout.blockBytes)
    }

    @Test("shows every position's logits on request, whatever is cached")
    func rows() throws {
        let prompt = tokens(60)
        let used = try session("qwen3", chunk: 25)
        _ = try used.prefill(Array(prompt.prefix(40)))
        var seen: [FloatBits] = []
        let last = try used.prefill(prompt) { position, row in
            #expect(position == seen.count)
            seen.append(FloatBits(row))
        }
        #expect(seen.count == 60 && seen.last == bits(last))
        for count in [1, 25, 26, 60] {
            let expected = try fresh("qwen3", Array(prompt.prefix(count)))
            #expect(seen[count - 1] == expected, "position \(count - 1)")
        }
    }

    @Test("passes the caller's error on and stays usable")
    func interrupted() throws {
        struct Stop: Error {}
        let prompt = tokens(60)
        let used = try session(chunk: 20)
        #expect(throws: Stop.self) {
            try used.prefill(prompt) { position, _ in if position == 30 { throw Stop() } }
        }
        #expect(bits(try used.prefill(prompt)) == (try fresh("llama-gqa", prompt)))
    }

    @Test("refuses what it cannot do by typed errors, and stays as it was")
    func refusals() throws {
        let used = try session(limit: 40)
        let prompt = tokens(38)
        _ = try used.prefill(prompt)
        #expect(throws: GenerationError.emptyPrompt) { try used.prefill([]) }
        #expect(throws: GenerationError.contextExceeded(promptTokens: 41, limit: 40)) {
            try used.prefill(tokens(41))
        }
        for token in [-1, 96, .max, .min] as [Int32] {
            let expected = GenerationError.unknownToken(token, vocabularySize: 96)
            #expect(throws: expected) { try used.prefill([5, token]) }
            #expect(throws: expected) { try used.decode(token) }
            // A tokenizer of another model must not crash the sampler.
            #expect(throws: expected) {
                try used.generate(
                    prompt: [5, token], parameters: SamplingParameters(), endOfSequence: [])
            }
        }
        #expect(used.cachedTokens == prompt)
        _ = try used.decode(5)
        _ = try used.decode(5)
        #expect(used.isFull)
        #expect(throws: GenerationError.contextExceeded(promptTokens: 41, limit: 40)) {
            try used.decode(5)
        }
        #expect(used.cachedTokens == prompt + [5, 5])
        #expect(bits(try used.prefill(prompt)) == (try fresh("llama-gqa", prompt)))
    }

    @Test("never promises more context than the model has")
    func limits() throws {
        #expect(try session().contextLimit == 128)
        // Four times what it was trained on.
        #expect(try session("rope-dynamic").contextLimit == 128)
        #expect(try session("rope-yarn").contextLimit == 128)
        #expect(try session("rope-llama3").contextLimit == 128)
        #expect(try session("rope-linear").contextLimit == 512)
        #expect(try session(limit: 1000).contextLimit == 128)
        #expect(try session(limit: 3).contextLimit == 3)
        #expect(throws: GenerationError.contextExceeded(promptTokens: 1, limit: 0)) {
            try session(limit: 0).prefill([5])
        }
    }

    @Test("traps on chunks of nothing and on negative lengths")
    func misuse() async {
        await #expect(processExitsWith: trap) {
            let device = Device(threads: 1)
            let model = try Decoder(
                Checkpoint(path: Goldens.path("models/llama-gqa")), on: device)
            _ = Session(model: model, device: device, chunkSize: 0)
        }
        await #expect(processExitsWith: trap) {
            let device = Device(threads: 1)
            let model = try Decoder(
                Checkpoint(path: Goldens.path("models/llama-gqa")), on: device)
            Session(model: model, device: device).truncate(to: -1)
        }
    }
}
