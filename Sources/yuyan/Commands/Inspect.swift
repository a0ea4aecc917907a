import ArgumentParser
import YuyanFormats
import YuyanTensor

struct Inspect: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what a model file holds and what it takes to run it.",
        discussion: """
            Example: yuyan inspect smollm2-135m --context 2048

            Reads headers and the tokenizer, never the weights. Memory to run is weights as they are \
            laid out for the kernels + keys and values of the whole context + activations of one \
            prefill pass + logits + tokenizer and program:
            \(MemoryEstimate.formula)

            With --json one object is printed: file, format, family, shape, parameters (by part), \
            formats, tokenizer, rope, kv_bytes_per_token, memory; with --tensors also tensors, with \
            --metadata also metadata.
            """)

    @Argument(help: "A GGUF file, a Hugging Face directory, or a cached name.")
    var path: String?
    @Option(help: "The same as the argument.")
    var model: String?
    @Option(help: "Tokens of context to reckon memory for; by default the model's own maximum.")
    var context: Int?
    @Option(help: "Tokens to a prefill pass, for the activations.")
    var chunk = 512
    @Flag(help: "List all tensors.")
    var tensors = false
    @Flag(help: "List all metadata, long arrays abbreviated.")
    var metadata = false
    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        guard (path == nil) != (model == nil) else {
            throw ValidationError(
                path == nil ? "Give a model: yuyan inspect MODEL." : "Give MODEL or --model once.")
        }
        if let context, !(1...1 << 30).contains(context) {
            throw ValidationError("--context is \(context); use 1 to \(1 << 30).")
        }
        guard (1...1 << 20).contains(chunk) else {
            throw ValidationError("--chunk is \(chunk); use 1 to \(1 << 20).")
        }
    }

    func run() throws {
        let summary = try ModelSummary(
            path: CachedModels.path(of: path ?? model ?? ""), context: context, chunk: chunk)
        if json {
            Terminal.write(
                summary.json(tensors: tensors, metadata: metadata).description + "\n")
        } else {
            Terminal.write(summary.text)
            if metadata { Terminal.write("\nMetadata\n" + summary.metadataText) }
            if tensors { Terminal.write("\nTensors\n" + summary.tensorText) }
        }
    }
}
