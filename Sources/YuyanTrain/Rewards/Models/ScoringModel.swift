import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor
import YuyanText

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A decoder with a head `[C]` that gives places of texts a number: what stages `rm` and `prm` train.
///
/// Either an adapter over the model that writes the answers, whose weights it shares, or a whole model
/// with a tokenizer and a chat template of its own.
struct ScoringModel: Sendable {
    /// For messages.
    let path: String
    let tokenizer: Tokenizer
    /// The token that the last one of a text is looked for before.
    let padding: Int32?
    /// What it holds beside the model that writes the answers.
    let byteCount: Int
    private let decoder: Decoder
    private let adapter: LowRankAdapter?
    private let head: [Float]
    private let device: Device

    /// Tokens of a pass, if texts are short enough; changes no bit.
    private static let passTokens = 512

    /// - Parameter name: A folder of an adapter or of a whole model, or what the host knows it by.
    /// - Throws: What is wrong with it; `RewardFault` if it is no reward model, or cannot be one here.
    init(_ name: String, host: RewardHost) throws {
        device = host.device ?? Device()
        path = try host.modelPath(name)
        guard Self.isAdapter(path) else {
            let checkpoint = try Checkpoint(path: path)
            guard SequenceClassifier.holds(checkpoint) else {
                throw RewardFault(
                    "\(path) is a model without a head of one score; expected an adapter with "
                        + "'score.weight', or …ForSequenceClassification with one label")
            }
            let model = try SequenceClassifier(checkpoint, on: device)
            tokenizer = try Tokenizer(checkpoint: checkpoint)
            (decoder, adapter) = (model.decoder, nil)
            (head, padding) = (model.head, model.padding)
            byteCount = model.decoder.weightBytes + head.count * MemoryLayout<Float>.stride
            return
        }
        guard let base = host.base else {
            throw RewardFault("\(path) is an adapter, and there is no model here that it is over")
        }
        guard base.isFrozen else { throw RewardFault(Self.needsFrozenBase) }
        let adapter = try LowRankAdapter(
            name: "reward", directory: path, for: base.decoder, on: device)
        guard let score = adapter.score else {
            throw RewardFault(
                "\(path) has no 'score.weight', as stages rm and prm write it")
        }
        (decoder, self.adapter) = (base.decoder, adapter)
        (tokenizer, padding) = (base.tokenizer, base.tokenizer.fillsWith)
        (head, byteCount) = (score, adapter.byteCount)
    }

    /// Whether a folder holds an adapter; a whole model else, or nothing.
    static func isAdapter(_ path: String) -> Bool {
        access(path + "/adapter_config.json", F_OK) == 0
    }

    static let needsFrozenBase =
        "finetuning_type: lora without additional_target, or a whole reward model: else the adapter's own "
        + "base would change"

    /// The model's chat template; nil if it has none.
    func chat() throws -> ChatRenderer? {
        try tokenizer.chatTemplate.map {
            ChatRenderer(
                tokenizer: tokenizer, template: try ChatTemplate(source: $0, name: path))
        }
    }

    /// Refuses a text that the model cannot read.
    func check(_ tokens: [Int32]) throws(RewardFault) {
        guard !tokens.isEmpty else { throw RewardFault("there is nothing to score") }
        let limit = decoder.shape.contextLength
        guard tokens.count <= limit else {
            throw RewardFault(
                "prompt and answer have \(tokens.count) tokens, expected at most \(limit): the context of "
                    + path)
        }
        let size = decoder.shape.vocabularySize
        if let id = tokens.first(where: { $0 < 0 || Int($0) >= size }) {
            throw RewardFault(
                "the token \(id) is beyond the \(size) that \(path) has weights for; do "
                    + "tokenizer and model belong together?")
        }
    }

    /// The numbers of some places of each text.
    ///
    /// The bits of a text depend on neither its neighbours nor the number of threads.
    ///
    /// - Precondition: `check` refuses none of the texts; places lie in them.
    func scores(of texts: [(tokens: [Int32], places: [Int])]) -> [[Double]] {
        var found: [[Double]] = []
        while found.count < texts.count {
            var part = texts[found.count...].prefix(1)
            var count = part.reduce(0) { $0 + $1.tokens.count }
            for text in texts[part.endIndex...] {
                count += text.tokens.count
                guard count <= Self.passTokens else { break }
                part = texts[part.startIndex...part.endIndex]
            }
            found += scores(ofPass: part)
        }
        return found
    }

    private func scores(
        ofPass texts: ArraySlice<(tokens: [Int32], places: [Int])>
    ) -> [[Double]] {
        let batch = TokenBatch(
            tokens: texts.flatMap(\.tokens), lengths: texts.map(\.tokens.count), adapter: adapter)
        var (rows, first) = ([Int](), 0)
        for text in texts {
            rows += text.places.map { first + $0 }
            first += text.tokens.count
        }
        let hidden = decoder.hiddenStates(whole: batch, checkpointing: false, on: device)
        let states = decoder.lossRows(hidden: hidden, rows: rows, of: batch, on: device).x
        var row = 0
        return texts.map { text in
            text.places.map { _ in
                defer { row += 1 }
                return zip(states.row(row), head).reduce(0) { $0 + Double($1.0) * Double($1.1) }
            }
        }
    }
}
