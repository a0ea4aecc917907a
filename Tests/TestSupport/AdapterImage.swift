import YuyanFormats

/// The files of a PEFT adapter in memory, so that tests can also write wrong ones.
package struct AdapterImage: Sendable {
    /// One tensor as the file stores it.
    package struct Tensor: Sendable {
        package var name: String
        package var type: ElementType
        package var shape: [Int]
        package var bytes: [UInt8]

        package init(name: String, type: ElementType, shape: [Int], bytes: [UInt8]) {
            self.name = name
            self.type = type
            self.shape = shape
            self.bytes = bytes
        }
    }

    package var tensors: [Tensor]
    /// Keys of `adapter_config.json`, in order.
    package var configuration: [(key: String, value: JSONOutput)]

    package init(tensors: [Tensor], configuration: [(key: String, value: JSONOutput)]) {
        self.tensors = tensors
        self.configuration = configuration
    }

    /// Random float32 updates of some modules, given by path and widths.
    package init(
        modules: [(path: String, inputWidth: Int, outputWidth: Int)], rank: Int, seed: UInt64
    ) {
        var random = SeededGenerator(seed: seed)
        func tensor(_ name: String, _ shape: [Int]) -> Tensor {
            Tensor(
                name: "base_model.model." + name, type: .f32, shape: shape,
                bytes: (0..<shape.reduce(1, *)).flatMap { _ in
                    little(Float.random(in: -0.3...0.3, using: &random).bitPattern)
                })
        }
        tensors = modules.flatMap { module in
            [
                tensor(module.path + ".lora_A.weight", [rank, module.inputWidth]),
                tensor(module.path + ".lora_B.weight", [module.outputWidth, rank]),
            ]
        }
        configuration = [
            ("peft_type", "LORA"), ("r", .integer(rank)), ("lora_alpha", .integer(2 * rank)),
            ("target_modules", .array(modules.map { .string($0.path) })),
        ]
    }

    /// Reads an adapter whose configuration a test then replaces.
    package init(directory: String) throws(FormatError) {
        let file = try SafetensorsFile(path: directory + "/adapter_model.safetensors")
        tensors = file.tensors.map { entry in
            Tensor(
                name: entry.name, type: entry.elementType, shape: entry.shape,
                bytes: entry.withUnsafeBytes { Array($0) })
        }
        let root = try JSONDocument(path: directory + "/adapter_config.json").root
        configuration = (root.entries ?? []).map { ($0.key, JSONOutput(copying: $0.value)) }
    }

    /// Sets a key of the configuration, or removes it.
    package mutating func set(_ key: String, _ value: JSONOutput?) {
        configuration.removeAll { $0.key == key }
        if let value { configuration.append((key, value)) }
    }

    /// The bytes of `adapter_model.safetensors`.
    package var weights: [UInt8] {
        var end = 0
        let entries = tensors.map { tensor -> (key: String, value: JSONOutput) in
            let start = end
            end += tensor.bytes.count
            return (
                tensor.name,
                [
                    "dtype": .string(tensor.type.safetensorsName ?? ""),
                    "shape": .array(tensor.shape.map { .integer($0) }),
                    "data_offsets": [.integer(start), .integer(end)],
                ]
            )
        }
        return SafetensorsImage(
            JSONOutput.object(entries).description, data: tensors.flatMap(\.bytes)
        ).bytes
    }

    /// The bytes of `adapter_config.json`.
    package var settings: [UInt8] { Array(JSONOutput.object(configuration).description.utf8) }

    /// Writes both files.
    package func write(to folder: TemporaryFolder) {
        _ = folder.file("adapter_config.json", settings)
        _ = folder.file("adapter_model.safetensors", weights)
    }
}
