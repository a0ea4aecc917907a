import YuyanFormats

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The two files of a PEFT adapter, mapped.
struct AdapterFiles {
    let settings: MappedFile
    let weights: MappedFile
    /// Far above any real configuration; it is parsed whole.
    private static let largestConfiguration = 4 << 20

    init(directory: String) throws {
        func path(_ file: String) -> String {
            directory.hasSuffix("/") ? directory + file : directory + "/" + file
        }
        func has(_ file: String) -> Bool { access(path(file), F_OK) == 0 }
        for file in ["adapter_config.json", "adapter_model.safetensors"] where !has(file) {
            let hint =
                has("adapter_model.bin") && has("adapter_config.json")
                ? "adapter_model.bin is a pickle; load it with PEFT and save_pretrained it again"
                : "give a directory that PEFT's save_pretrained wrote"
            throw AdapterError.notAnAdapter(directory: directory, missing: file, hint: hint)
        }
        settings = try MappedFile(path: path("adapter_config.json"))
        weights = try MappedFile(path: path("adapter_model.safetensors"))
    }

    func configuration() throws -> AdapterConfiguration {
        guard settings.count <= Self.largestConfiguration else {
            throw AdapterError.configuration(
                file: settings.path, key: "the file", found: "\(settings.count) bytes",
                expected: "at most \(Self.largestConfiguration)")
        }
        let bytes = settings.withUnsafeBytes(in: 0..<settings.count) { Array($0) }
        return try AdapterConfiguration(JSONDocument(bytes: bytes, name: settings.path))
    }

    var hash: UInt64 { contentHash(of: [settings, weights]) }
}

/// The standard library's keyed hash of files: whoever writes an adapter cannot aim at another's.
package func contentHash(of files: [MappedFile]) -> UInt64 {
    var hasher = Hasher()
    for file in files {
        hasher.combine(file.count)
        file.withUnsafeBytes(in: 0..<file.count) { hasher.combine(bytes: $0) }
    }
    // 0 stands for no adapter in the keys of cached prefixes.
    return max(1, UInt64(bitPattern: Int64(hasher.finalize())))
}
