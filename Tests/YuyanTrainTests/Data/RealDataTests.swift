import TestSupport
import Testing
import YuyanFormats
import YuyanTensor
import YuyanText

@testable import YuyanTrain

@Suite(
    "Real data sets",
    .enabled(if: DataSets.path("dataset_info.json") != nil && Models.smolLM2 != nil))
struct RealDataTests {
    private func data(
        _ names: [String], _ change: (inout DataOptions) -> Void = { _ in }
    ) throws -> (TrainingData, Tokenizer) {
        let path = try #require(Models.smolLM2)
        let tokenizer = try Tokenizer(gguf: try GGUFFile(path: path))
        let source = try #require(tokenizer.chatTemplate)
        var options = DataOptions()
        options.datasets = names
        options.folder = try #require(
            DataSets.path("dataset_info.json").map { path in
                String(path.dropLast("/dataset_info.json".utf8.count))
            })
        change(&options)
        let data = try TrainingData(
            options, tokenizer: tokenizer, template: try ChatTemplate(source: source))
        return (data, tokenizer)
    }

    @Test(
        "for instructions are read without a bad row, in the shapes that they have",
        arguments: [
            ("alpaca_en_demo", 999, "alpaca"), ("alpaca_zh_demo", 1000, "alpaca"),
            ("identity", 91, "alpaca"), ("glaive_toolcall_en_demo", 300, "sharegpt"),
            ("glaive_toolcall_zh_demo", 300, "sharegpt"), ("v1_sft_demo.jsonl", 500, "messages"),
            ("reason_tool_use_demo_50.jsonl", 50, "messages"),
        ])
    func instructions(_ name: String, _ rows: Int, _ shape: String) throws {
        let (data, tokenizer) = try data([name])
        #expect(data.reports.map(\.shape) == [shape] && data.rowCount(.training) == rows)
        let survey = try data.survey(.training, pool: ThreadPool(threadCount: 2))
        let tally = survey.tally
        #expect(tally.samples == rows && tally.skippedCount == 0)
        #expect(tally.unstopped == 0)
        #expect(tally.supervisedShare > 0.05 && tally.supervisedShare < 0.95)
        let preview = try data.preview()
        #expect(tokenizer.decode(preview.sample.tokens).hasPrefix("<|im_start|>"))
        #expect(preview.sample.tokens.last.map { tokenizer.text(of: $0) } == "<|im_end|>")
    }

    @Test("become the ids and the masks that transformers makes of them, every one")
    func agreesWithTransformers() throws {
        let goldens = try JSONDocument(path: Goldens.path("data/real.json")).root.array
        for golden in goldens.map(Array.init) ?? [] {
            let name = try golden.string("tokenizer")
            guard let folder = Models.folder("tokenizers/" + name) else { continue }
            let template = try MappedFile(
                path: Goldens.path("templates/\(try golden.string("template")).jinja"))
            let source = template.withBytes { bytes in
                bytes.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
            }
            var options = DataOptions()
            options.datasets = [try golden.string("name")]
            options.folder = try #require(DataSets.path("dataset_info.json")).droppingName
            options.isShuffled = false
            options.cutoffLength = 1 << 20
            let data = try TrainingData(
                options, tokenizer: try Tokenizer(directory: folder),
                template: try ChatTemplate(source: source))
            let loader = try data.loader(.training, epochs: 1)
            var (hash, rows, tokens, learnt) = (StableHash(), 0, 0, 0)
            while let batch = try loader.next()?.batch {
                rows += 1
                tokens += batch.tokens.count
                learnt += batch.supervisedCount
                for (token, weight) in zip(batch.tokens, batch.weights) {
                    hash.add(UInt64(token))
                    hash.add(UInt8(weight))
                }
            }
            #expect(rows == (try golden.int("rows")), "\(options.datasets)")
            #expect(tokens == (try golden.int("tokens")), "\(options.datasets)")
            #expect(learnt == (try golden.int("learnt")), "\(options.datasets)")
            #expect(
                String(hash.value, radix: 16) == (try golden.string("hash")),
                "\(options.datasets)")
        }
    }

    @Test(
        "of preferences and verdicts are parsed whole",
        arguments: [
            "dpo_en_demo", "dpo_zh_demo", "kto_en_demo", "v1_dpo_demo.jsonl",
        ])
    func preferences(_ name: String) throws {
        let folder = try #require(DataSets.path("dataset_info.json")).droppingName
        let info = try DatasetInfo(folder: folder)
        let dataset = try Dataset(
            info.definition(of: name), weight: 1, options: DataOptions(), stream: 0)
        var (good, bad) = (0, 0)
        for row in 0..<dataset.count {
            switch try dataset.read(row).row {
            case .preference(let preference):
                #expect(preference.chosen != preference.rejected)
                good += 1
            case .unpaired(let unpaired): if unpaired.isDesirable { good += 1 } else { bad += 1 }
            default: Issue.record("row \(row) of \(name) is neither")
            }
        }
        #expect(good == (name == "kto_en_demo" ? 150 : dataset.count))
        #expect(bad == (name == "kto_en_demo" ? 150 : 0))
    }

    @Test("packed, fill rows of 2048 nearly whole")
    func packing() throws {
        let (data, _) = try data(["alpaca_en_demo", "identity"]) { $0.isPacked = true }
        let survey = try data.survey(.training, pool: ThreadPool(threadCount: 2))
        let fill = try #require(survey.fill(epoch: 0))
        #expect(fill > 0.97, "\(fill)")
    }

    @Test("of texts give every byte to the model")
    func texts() throws {
        let (data, tokenizer) = try data(["c4_demo", "wiki_demo"]) {
            $0.stage = .pretraining
            $0.cutoffLength = 512
            $0.isShuffled = false
        }
        #expect(data.reports.map(\.shape) == ["text", "text"])
        let loader = try data.loader(.training, epochs: 1)
        var bytes = 0
        while let batch = try loader.next() {
            // Pieces share a token with the piece before.
            bytes += tokenizer.decode(batch.batch.tokens, skipSpecial: true).utf8.count
        }
        #expect(bytes > 1_700_000)
    }
}

extension String {
    /// The folder of a path.
    fileprivate var droppingName: String {
        split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
    }
}
