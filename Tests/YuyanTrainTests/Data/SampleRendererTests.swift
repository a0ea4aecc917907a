import TestSupport
import Testing
import YuyanFormats
import YuyanTensor
import YuyanText

@testable import YuyanTrain

@Suite("Sample renderer")
struct SampleRendererTests {
    @Test("gives the ids and the masks of transformers' generation blocks")
    func agreesWithTransformers() throws {
        let goldens = try JSONDocument(path: Goldens.path("data/masks.json")).root
        let cases = goldens.array.map(Array.init) ?? []
        #expect(cases.count >= 36)
        for (index, golden) in cases.enumerated() {
            let tokenizer = try Tokenizer(
                directory: Goldens.path("tokenizers/" + golden.string("tokenizer")))
            let name = try golden.string("template")
            let source = try MappedFile(path: Goldens.path("templates/\(name).jinja")).withBytes {
                $0.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
            }
            let renderer = SampleRenderer(
                tokenizer: tokenizer,
                chat: ChatRenderer(
                    tokenizer: tokenizer, template: try ChatTemplate(source: source)),
                options: DataOptions())
            let fields = try golden.object("row")
            let shape = try DataShape(of: fields, ShapeNames())
            #expect(shape.description == (try golden.string("shape")))
            let row = try RowParser(shape: shape, names: ShapeNames()).parse(fields)
            let ids = try golden.array("ids").compactMap(\.int).map { Int32($0) }
            let mask = try golden.array("mask").compactMap(\.int)
            let place = "\(index): \(name), \(try golden.object("row"))"
            // A conversation that ends unanswered has its answers in the middle.
            let result = try renderer.render(
                row, SampleSource(file: "golden", row: 1), weight: 1, shape: "")
            let sample = try #require(result.samples.first)
            let count = sample.tokens.count
            #expect(sample.tokens == Array(ids.prefix(count)), "\(place)")
            #expect(sample.weights == mask.prefix(count).map { Float($0) }, "\(place)")
            // What is left out behind the last answer is not learnt.
            #expect(mask.dropFirst(count).allSatisfy { $0 == 0 }, "\(place)")
            #expect(sample.weights.last == 1)
        }
    }

    private func sample(
        _ row: String, _ change: (inout DataOptions) -> Void = { _ in }
    ) throws -> (sample: TrainingSample, fixture: DataFixture, result: RenderedRow) {
        let fixture = try DataFixture()
        var options = DataOptions()
        change(&options)
        let renderer = SampleRenderer(
            tokenizer: fixture.tokenizer,
            chat: ChatRenderer(tokenizer: fixture.tokenizer, template: fixture.template),
            options: options)
        let fields = try JSONDocument(bytes: Array(row.utf8), name: "row").root
        let shape = try DataShape(of: fields, ShapeNames())
        let result = try renderer.render(
            try RowParser(shape: shape, names: ShapeNames()).parse(fields),
            SampleSource(file: "f", row: 1), weight: 1, shape: shape.description)
        return (try #require(result.samples.first), fixture, result)
    }

    private let dialogue = """
        {"messages": [{"role": "user", "content": "a b"}, {"role": "assistant", "content": "one"}, \
        {"role": "user", "content": "c d"}, {"role": "assistant", "content": "two"}]}
        """

    @Test("learns all answers, the last one or all tokens, each answer with its stop token")
    func supervision() throws {
        let (all, fixture, _) = try sample(dialogue)
        #expect(fixture.learnt(all) == "one<|im_end|>two<|im_end|>")
        let last = try sample(dialogue) { $0.supervision = .lastAnswer }.sample
        #expect(fixture.learnt(last) == "two<|im_end|>")
        let everything = try sample(dialogue) { $0.supervision = .all }.sample
        #expect(everything.supervisedCount == everything.tokens.count - 1)
        #expect(everything.tokens.count == all.tokens.count + 1)
    }

    @Test("takes the weights of messages, whoever's key they have")
    func messageWeights() throws {
        func weights(_ first: String, _ second: String) throws -> [Float] {
            let row = """
                {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "one", \
                \(first)}, {"role": "user", "content": "b"}, {"role": "assistant", "content": "two", \
                \(second)}]}
                """
            var seen: [Float] = []
            for weight in try sample(row).sample.weights where weight != 0 && seen.last != weight {
                seen.append(weight)
            }
            return seen
        }
        #expect(try weights("\"loss\": false", "\"loss\": true") == [1])
        #expect(try weights("\"loss_scale\": 0.5", "\"loss_scale\": 2") == [0.5, 2])
        #expect(try weights("\"weight\": 0", "\"weight\": 1") == [1])
        #expect(
            try weights("\"loss_weight\": 0.25, \"loss\": true", "\"name\": \"x\"") == [0.25, 1])
    }

    @Test("learns the completion of plain texts, and the end, but not the prompt")
    func completion() throws {
        let (sample, fixture, _) = try sample(#"{"prompt": "The sky is", "completion": " blue."}"#)
        #expect(fixture.learnt(sample).hasPrefix(" blue."))
        #expect(fixture.tokenizer.decode(sample.tokens).hasPrefix("The sky is blue."))
        let messages = """
            {"prompt": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "no"}, {"role": \
            "user", "content": "b"}], "completion": [{"role": "assistant", "content": "yes"}]}
            """
        #expect(fixture.learnt(try self.sample(messages).sample) == "yes<|im_end|>")
    }

    @Test("cuts long texts so that each token but the first is predicted once")
    func pieces() throws {
        let words = (0..<200).map { "w\($0)" }.joined(separator: " ")
        let row = #"{"text": "\#(words)"}"#
        let whole = try sample(row) { $0.stage = .pretraining }.sample
        for limit in [2, 3, 7, 64, whole.tokens.count - 1, whole.tokens.count, 5000] {
            let pieces = try sample(row) {
                $0.stage = .pretraining
                $0.cutoffLength = limit
            }.result.samples
            var joined = pieces[0].tokens
            for (previous, next) in zip(pieces, pieces.dropFirst()) {
                #expect(next.tokens[0] == previous.tokens[previous.tokens.count - 1])
                joined += next.tokens.dropFirst()
            }
            #expect(joined == whole.tokens)
            #expect(pieces.allSatisfy { (2...limit).contains($0.tokens.count) })
            #expect(pieces.reduce(0) { $0 + $1.supervisedCount } == whole.tokens.count - 1)
        }
    }

    @Test("cuts, refuses or leaves out what is too long, and never trains on nothing")
    func overlong() throws {
        let long = (0..<100).map { "w\($0)" }.joined(separator: " ")
        let row = #"{"instruction": "\#(long)", "output": "short"}"#
        let (cut, fixture, result) = try sample(row) { $0.cutoffLength = 40 }
        #expect(cut.tokens.count == 40 && result.truncated > 0)
        #expect(fixture.learnt(cut) == "short<|im_end|>")
        for policy in [DataOptions.OverlongPolicy.stop, .skip] {
            do {
                _ = try sample(row) {
                    $0.cutoffLength = 40
                    $0.overlong = policy
                }
                Issue.record("taken")
            } catch let DataError.row(problem) {
                #expect(problem.kind == .overlong)
                #expect(problem.reason.contains("expected at most 40"))
            }
        }
        let answer = #"{"instruction": "a", "output": "\#(long)"}"#
        let answered = try sample(answer) { $0.cutoffLength = 40 }.sample
        #expect(answered.tokens.count == 40 && answered.weights.last == 1)
    }

    @Test("explains what has nothing to learn")
    func unsupervised() throws {
        func reason(_ row: String) -> String {
            do {
                _ = try sample(row)
                return ""
            } catch { return "\(error)" }
        }
        let unanswered = #"{"messages": [{"role": "user", "content": "a"}]}"#
        #expect(reason(unanswered).contains("no answer"))
        let unweighted =
            #"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "loss": false}]}"#
        #expect(reason(unweighted).contains("weight 0"))
        #expect(reason(#"{"text": "a longer text"}"#).isEmpty)
    }

    @Test("shows a sample with what is learnt in brackets, or in green")
    func preview() throws {
        let (sample, fixture, _) = try sample(dialogue)
        let preview = SamplePreview(sample: sample, tokenizer: fixture.tokenizer)
        let text = preview.text(isColoured: false)
        #expect(text.contains("assistant\n[one<|im_end|>]\n<|im_start|>user\nc d"))
        #expect(
            text.contains("f:1: \(sample.tokens.count) tokens, \(sample.supervisedCount) of them"))
        #expect(preview.text(isColoured: true).contains("\u{1B}[32mone<|im_end|>\u{1B}[0m"))
        let hostile = try self.sample(#"{"instruction": "\u001b[31m\u0007", "output": "x"}"#)
        let shown = SamplePreview(sample: hostile.sample, tokenizer: fixture.tokenizer)
        #expect(!shown.text(isColoured: false).unicodeScalars.contains { $0.value == 0x1B })
    }
}
