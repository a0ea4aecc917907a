import ArgumentParser
import YuyanEngine
import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor
import YuyanTrain

struct Eval: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Ask a model the questions of a local file and score its answers.",
        discussion: """
            Example: yuyan eval --model smollm2-135m --data questions.jsonl

            A file has one JSON object a line, plain or packed by gzip. What is asked follows from its \
            columns, or --kind:
              choice        choices, endings or options: the likeliest continuation of the prompt \
            (acc; acc_norm and acc_bytes divide by its characters and bytes)
              continuation  how likely the answer is, and whether each token of it is the likeliest
              generate      an answer is written, up to --until, and has to equal the right one
              text          how likely the texts are: perplexity by word, byte and token
            The prompt is the column question, query, prompt, context, start … , the right answer is \
            answer, target, label, gold …: an index, a letter or the text. --doc-to-text and its kin \
            name other columns, or are Jinja templates over them. Scores follow lm-eval's rules; errors \
            are standard errors, brackets hold the 95 % interval.

            --json prints {model, adapter, precision, kv, tasks: [{data, kind, rows, truncated_rows, \
            tokens, seconds, metrics: {NAME: {value, stderr, ci95: [low, high]}}}]}. --samples writes \
            one JSON object for each row.
            """)

    @Option(help: "A GGUF file, a Hugging Face directory, or a cached name.")
    var model: String
    @Option(help: "A LoRA adapter for the model: a directory that PEFT saved, or a GGUF adapter.")
    var adapter: String?
    @Option(help: "A file of rows; may be repeated.")
    var data: [String]
    @Option(help: "choice, continuation, generate or text; by default what the columns suggest.")
    var kind: EvaluationTask.Kind?
    @Option(help: "The prompt: a column, or a Jinja template over the columns.")
    var docToText: String?
    @Option(help: "The choices: a column with a list, or a JSON list of templates.")
    var docToChoice: String?
    @Option(help: "The right answer: a column or a template.")
    var docToTarget: String?
    @Option(help: "Text before every prompt.")
    var description = ""
    @Option(help: "Between prompt and continuation.")
    var targetDelimiter = " "
    @Flag(help: "Put the prompt into the model's chat format, as a user's message.")
    var applyChatTemplate = false
    @Option(help: "The system's message, with --apply-chat-template.")
    var systemInstruction: String?
    @Option(
        help: """
            Text that ends a written answer; \\n, \\t and \\\\ in it are line end, tab and backslash; \
            may be repeated. Default: an empty line.
            """)
    var until: [String] = []
    @Option(help: "Most tokens of a written answer.")
    var maxGenToks = 256
    @Option(help: "Compare only what this regular expression finds in a written answer.")
    var regex: String?
    @Option(help: "Which of its matches: 0 is the first, -1 the last.")
    var groupSelect = 0
    @Flag(help: "Compare written answers without case.")
    var ignoreCase = false
    @Flag(help: "Compare written answers without punctuation.")
    var ignorePunctuation = false
    @Option(help: "Use at most this many rows of each file.")
    var limit: Int?
    @Option(help: "Write what the model said to each row to this file.")
    var samples: String?
    @Option(help: "Storage of keys and values: f32, f16 or q8.")
    var kv: KeyValueType = .f16
    @Flag(help: "Print one JSON object.")
    var json = false
    @OptionGroup var compute: ComputeOptions

    func validate() throws {
        guard !data.isEmpty else { throw ValidationError("Give a file of rows with --data.") }
        if let limit, limit < 1 { throw ValidationError("--limit is \(limit); use at least 1.") }
        guard maxGenToks > 0 else {
            throw ValidationError("--max-gen-toks is \(maxGenToks); use at least 1.")
        }
        if systemInstruction != nil, !applyChatTemplate {
            throw ValidationError("--system-instruction needs --apply-chat-template.")
        }
    }

    /// A shell hands `\n` over as two characters.
    static func unescaped(_ text: String) -> String {
        var result = ""
        var rest = text[...]
        while let character = rest.popFirst() {
            let next = character == "\\" ? rest.first : nil
            let meaning: Character? =
                switch next {
                case "n": "\n"
                case "t": "\t"
                case "\\": "\\"
                default: nil
                }
            if meaning != nil { rest = rest.dropFirst() }
            result.append(meaning ?? character)
        }
        return result
    }

    /// The bytes of a file of rows, unpacked if gzip packed it.
    private static func rowBytes(_ path: String) throws -> [UInt8] {
        let bytes = try InputFile.bytes(path)
        guard path != "-", bytes.starts(with: [0x1F, 0x8B]) else { return bytes }
        let file = try MappedFile(path: path).unpackedGzip(limit: 4 << 30)
        return file.withUnsafeBytes(in: 0..<file.count) { Array($0) }
    }

    private var task: EvaluationTask {
        var task = EvaluationTask()
        task.kind = kind
        task.docToText = docToText
        task.docToChoice = docToChoice
        task.docToTarget = docToTarget
        task.description = description
        task.targetDelimiter = targetDelimiter
        task.appliesChatTemplate = applyChatTemplate
        task.systemInstruction = systemInstruction
        if !until.isEmpty { task.until = until.map(Self.unescaped) }
        task.maxGenToks = maxGenToks
        task.match.pattern = regex
        task.match.groupSelect = groupSelect
        task.match.ignoresCase = ignoreCase
        task.match.ignoresPunctuation = ignorePunctuation
        return task
    }

    func run() throws {
        // Rows first: a mistake in them should not wait for the weights.
        let task = task
        let rows = try data.map {
            try EvaluationRows(Self.rowBytes($0), file: $0, task: task, limit: limit)
        }
        let device = compute.device()
        let loaded = try LoadedModel(model, device: device)
        let evaluated = EvaluatedModel(
            model: loaded.decoder, device: device, keyValueType: kv,
            adapter: try adapter.map {
                try LowRankAdapter(name: $0, path: $0, for: loaded.decoder, on: device)
            })
        let runner = EvaluationRunner(model: evaluated, tokenizer: loaded.tokenizer)
        var reports: [EvalReport] = []
        for (file, rows) in zip(data, rows) {
            let outcome = EvalOutcome(total: rows.rows.count)
            let clock = ContinuousClock()
            let start = clock.now
            try waiting {
                let result = try await runner.run(task, on: rows) { outcome.update($0) }
                outcome.set(result)
            }
            guard let result = outcome.result else { continue }
            reports.append(
                EvalReport(
                    data: file, rows: rows.rows.count, result: result, time: clock.now - start))
        }
        if let samples { try write(reports, to: samples) }
        if json {
            let document: JSONOutput = [
                "model": .string(model),
                "adapter": adapter.map { .string($0) } ?? .null,
                "precision": .string(compute.precision.rawValue),
                "kv": .string(kv.rawValue),
                "tasks": .array(reports.map(\.json)),
            ]
            Terminal.write(document.description + "\n")
        } else {
            Terminal.write(reports.map(\.text).joined(separator: "\n"))
        }
    }

    private func write(_ reports: [EvalReport], to path: String) throws {
        try writeAtomically(path) { sink in
            for report in reports {
                for sample in report.result.samples {
                    var line = sample
                    line["data"] = .string(report.data)
                    try sink.write(line.description + "\n")
                }
            }
        }
    }
}

extension EvaluationTask.Kind: ExpressibleByArgument {}
