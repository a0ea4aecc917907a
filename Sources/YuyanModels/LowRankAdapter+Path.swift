import YuyanFormats
import YuyanNN
import YuyanTensor

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

extension LowRankAdapter {
    /// Loads an adapter from a PEFT directory or a GGUF file, whichever is at the path.
    ///
    /// - Parameters:
    ///   - name: What requests call it.
    ///   - path: A directory that PEFT's `save_pretrained` wrote, or a GGUF file with
    ///     `general.type` `adapter`.
    ///   - model: Whose projections it updates.
    ///   - device: The one that the model runs on.
    ///   - limitBytes: Most memory that its matrices may take.
    ///   - merging: As for a directory.
    /// - Throws: `AdapterError` or `FormatError`, naming file and tensor or key.
    public convenience init(
        name: String, path: String, for model: Decoder, on device: Device,
        limitBytes: Int = .max, merging: Bool = false
    ) throws {
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            try self.init(
                name: name, directory: path, for: model, on: device, limitBytes: limitBytes,
                merging: merging)
            return
        }
        let file = try GGUFFile(path: path)
        let architecture = try file.string("general.architecture")
        let shape = model.shape
        let own = try Families.family(of: shape)
        let names = own.architectures + [own.writtenArchitecture]
        guard names.contains(architecture),
            let family = Families.all.first(where: { $0.architectures.contains(architecture) })
        else {
            throw AdapterError.configuration(
                file: path, key: "general.architecture", found: "'\(architecture)'",
                expected: names.map { "'\($0)'" }.joined(separator: " or ")
                    + ", as the model is")
        }
        try self.init(
            name: name, gguf: file, for: model, on: device, limitBytes: limitBytes
        ) { path in
            guard family.interleavesGGUFRows, let heads = shape.rotatedHeads(of: path) else {
                return nil
            }
            return shape.halvesFromPairs(heads: heads)
        }
    }
}
