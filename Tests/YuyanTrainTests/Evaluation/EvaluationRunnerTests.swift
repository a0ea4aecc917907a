import TestSupport
import Testing
import YuyanEngine
import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor
import YuyanText

@testable import YuyanTrain

@Suite("Running an evaluation")
struct EvaluationRunnerTests {
    private let path = Goldens.path("models/gguf/llama-gqa.gguf")

    private func runner(threads: Int = 2) throws -> EvaluationRunner {
        let checkpoint = try Checkpoint(path: path)
        let device = Device(threads: threads, precision: .f32)
        return EvaluationRunner(
            model: EvaluatedModel(model: try Decoder(checkpoint, on: device), device: device),
            tokenizer: try Tokenizer(gguf: GGUFFile(path: path)))
    }

    private func run(
        _ text: String, _ task: EvaluationTask = EvaluationTask(), threads: Int = 2
    ) async throws -> EvaluationResult {
        try await runner(threads: threads).run(
            task, on: EvaluationRows(Array(text.utf8), file: "f", task: task))
    }

    private func parsed(_ sample: JSONOutput) throws -> JSONCursor {
        try JSONDocument(bytes: Array(sample.description.utf8), name: "sample").root
    }

    @Test("choices are scored by sum, by character and by byte")
    func choices() async throws {
        let text = """
            {"question": "abc, de", "choices": ["f", "ghij klm", "in"], "answer": 0}
            {"question": "abc ", "choices": ["fgh", "x"], "answer": 1}
            """
        let result = try await run(text)
        #expect(result.kind == .choice && result.samples.count == 2)
        #expect(result.metrics.map(\.name) == ["acc", "acc_norm", "acc_bytes"])
        let choices = [["f", "ghij klm", "in"], ["fgh", "x"]]
        for (sample, choices) in zip(result.samples, choices) {
            let root = try parsed(sample)
            let sums = try root.array("log_likelihoods").compactMap(\.double)
            #expect(sums.count == choices.count && sums.allSatisfy { $0 < 0 })
            func best(_ weight: (String) -> Int) -> Int? {
                let values = zip(sums, choices).map { $0 / Double(weight($1)) }
                return values.firstIndex(of: values.max() ?? 0)
            }
            let right = try root.array("right").compactMap(\.int)[0]
            #expect(try root.int("chosen") == best { _ in 1 })
            #expect(try root.int("acc_norm") == (best(\.unicodeScalars.count) == right ? 1 : 0))
            #expect(try root.int("acc_bytes") == (best(\.utf8.count) == right ? 1 : 0))
        }
    }

    @Test("white space at a prompt's end belongs to the continuation")
    func spaces() async throws {
        // With a delimiter of its own the prompt may end in the space.
        var task = EvaluationTask()
        task.targetDelimiter = ""
        let first = try await run(
            #"{"question": "abc ", "choices": ["de", "fg"], "answer": 0}"#, task)
        let second = try await run(
            #"{"question": "abc", "choices": ["de", "fg"], "answer": 0}"#)
        #expect(first.samples[0].description == second.samples[0].description)
    }

    @Test("texts give perplexities by word, byte and token")
    func texts() async throws {
        let result = try await run("{\"text\": \"abc, de fgh\"}\n{\"text\": \"ab\"}")
        #expect(
            result.metrics.map(\.name)
                == ["word_perplexity", "byte_perplexity", "bits_per_byte", "token_perplexity"])
        let sums = try result.samples.map { try parsed($0).double("log_likelihood") }
        let total = sums.reduce(0, +)
        #expect(
            abs(result.metrics[0].value - exponential(-total / 4)) < 1e-9 * result.metrics[0].value)
        #expect(
            abs(result.metrics[1].value - exponential(-total / 13)) < 1e-9 * result.metrics[1].value
        )
        #expect(abs(result.metrics[2].value + total / 13 / 0.693_147_180_559_945) < 1e-9)
    }

    @Test("written answers are the likeliest of a session, and end where they should")
    func answers() async throws {
        let text = (0..<40).map { #"{"question": "abc \#($0 % 7)", "answer": "x"}"# }
            .joined(separator: "\n")
        var task = EvaluationTask()
        task.maxGenToks = 6
        task.until = ["\n"]
        let result = try await run(text, task)
        let checkpoint = try Checkpoint(path: path)
        let tokenizer = try Tokenizer(gguf: GGUFFile(path: path))
        let device = Device(threads: 1, precision: .f32)
        let decoder = try Decoder(checkpoint, on: device)
        for index in 0..<7 {
            let session = Session(model: decoder, device: device)
            var parameters = SamplingParameters()
            parameters.temperature = 0
            parameters.maxTokens = 6
            let ids = try session.generate(
                prompt: tokenizer.encode("abc \(index)"), parameters: parameters,
                endOfSequence: tokenizer.endOfGeneration.filter { $0 < 96 }.sorted()
            ).tokens
            let whole = tokenizer.decode(ids, skipSpecial: true)
            let expected = whole.split(separator: "\n", omittingEmptySubsequences: false)[0]
            for row in stride(from: index, to: 40, by: 7) {
                #expect(try parsed(result.samples[row]).string("answer") == String(expected))
            }
        }
        // An answer that is known to be given is right.
        let answer = try parsed(result.samples[0]).string("answer")
        let known: JSONOutput = ["question": "abc 0", "answer": ["?", .string(answer)]]
        let again = try await run(known.description, task)
        #expect(again.metrics[0].name == "exact_match" && again.metrics[0].value == 1)
    }

    @Test("continuations say whether each token is the likeliest")
    func continuations() async throws {
        var task = EvaluationTask()
        task.kind = .continuation
        let result = try await run(#"{"prompt": "abc", "target": "de fg"}"#, task)
        #expect(result.metrics.map(\.name) == ["acc", "perplexity"])
        let sum = try parsed(result.samples[0]).double("log_likelihood")
        #expect(abs(result.metrics[1].value - exponential(-sum)) < 1e-9 * exponential(-sum))
    }

    @Test("without a chat template, asking for it is refused")
    func chatTemplate() async throws {
        var task = EvaluationTask()
        task.appliesChatTemplate = true
        await #expect(throws: EvaluationTaskError.noChatTemplate) {
            try await run(#"{"question": "a", "answer": "b"}"#, task)
        }
    }
}
