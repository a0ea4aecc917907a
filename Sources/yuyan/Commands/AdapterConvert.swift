import ArgumentParser
import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor

struct AdapterConvert: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "convert",
        abstract: "Turn a PEFT adapter into a GGUF adapter, or the other way round.",
        discussion: """
            Example: yuyan adapter convert my-adapter my-adapter.gguf --model smollm2-135m

            An OUTPUT that ends in .gguf is written for llama.cpp's --lora, any other as a directory \
            for PEFT. GGUF holds plain LoRA only: DoRA and whole weights are refused; merge those. --json \
            prints {output, type, updates, whole_weights}.
            """)

    @Argument(help: "A directory that PEFT saved, or a GGUF adapter.")
    var adapter: String
    @Argument(help: "The file or directory to create.")
    var output: String
    @Option(help: "The model that it is for: a GGUF file, a directory, or a cached name.")
    var model: String
    @Option(help: "Store numbers as f32, f16 or bf16.")
    var type: SavedType = .f32
    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        try OutputPath.check(output)
        let device = Device()
        let path = try CachedModels.path(of: model)
        let checkpoint = try Checkpoint(path: path)
        let decoder = try Decoder(checkpoint, on: device)
        let loaded = try LowRankAdapter(
            name: adapter, path: adapter, for: decoder, on: device, merging: true)
        var contents = try AdapterContents(loaded, of: decoder, device: device)
        contents.baseModel = try AdapterSummary(path: adapter).baseModel ?? model
        if output.hasSuffix(".gguf") {
            try contents.writeGGUF(to: output, for: decoder.shape, as: type.elementType)
        } else {
            try createFolderAtomically(output) {
                try contents.writePEFT(to: $0, as: type.elementType)
            }
        }
        let (updates, whole) = (contents.updates.count, contents.saved.count)
        guard json else {
            Terminal.report("\(output): \(updates) updates, \(whole) whole weights")
            return
        }
        let report: JSONOutput = [
            "output": .string(output), "type": .string(type.rawValue),
            "updates": .integer(updates), "whole_weights": .integer(whole),
        ]
        Terminal.write(report.description + "\n")
    }
}
