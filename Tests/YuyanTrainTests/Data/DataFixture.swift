import TestSupport
import Testing
import YuyanFormats
import YuyanTensor
import YuyanText

@testable import YuyanTrain

/// A folder of data files and the small tokenizers of the goldens.
final class DataFixture {
    let folder = TemporaryFolder()
    let tokenizer: Tokenizer
    let template: ChatTemplate

    static let chatML = """
        {% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + \
        '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}\
        {% endif %}
        """

    init(tokenizer name: String = "smollm", template source: String = DataFixture.chatML) throws {
        tokenizer = try Tokenizer(directory: Goldens.path("tokenizers/" + name))
        template = try ChatTemplate(source: source)
    }

    func file(_ name: String, _ lines: [String]) -> String {
        folder.file(name, Array((lines.joined(separator: "\n") + "\n").utf8))
    }

    /// A file of questions and answers of different lengths.
    func dialogues(_ name: String, count: Int, seed: UInt64 = 1) -> String {
        var random = SeededGenerator(seed: seed)
        return file(
            name,
            (0..<count).map { row in
                let words = (0..<Int.random(in: 1...24, using: &random)).map { _ in
                    "w\(Int.random(in: 0...99, using: &random))"
                }
                let answer = "\(name) \(row) " + words.joined(separator: " ")
                return #"{"instruction": "Say \#(row)", "output": "\#(answer)"}"#
            })
    }

    func options(_ paths: String...) -> DataOptions {
        var options = DataOptions()
        options.datasets = paths
        options.folder = folder.path
        return options
    }

    func data(_ options: DataOptions) throws -> TrainingData {
        try TrainingData(options, tokenizer: tokenizer, template: template)
    }

    /// The message of the error that reading everything ends with; empty if there is none.
    func refusal(_ options: DataOptions) -> String {
        do {
            _ = try data(options).survey(.training, pool: ThreadPool(threadCount: 1))
            return ""
        } catch {
            return "\(error)"
        }
    }

    /// What is learnt of a sample, as text.
    func learnt(_ sample: TrainingSample) -> String {
        tokenizer.decode(zip(sample.tokens, sample.weights).filter { $0.1 != 0 }.map(\.0))
    }
}

/// All batches until the loader ends.
func drain(_ loader: DataLoader, limit: Int = .max) throws -> [LoadedBatch] {
    var batches: [LoadedBatch] = []
    while batches.count < limit, let batch = try loader.next() { batches.append(batch) }
    return batches
}
