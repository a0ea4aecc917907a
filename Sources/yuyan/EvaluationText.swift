import YuyanFormats

/// The text that a model is measured on, without one line end at its end.
///
/// llama-perplexity drops that too. Bytes that are no UTF-8 become U+FFFD.
///
/// - Throws: `FormatError.cannotOpen`.
func evaluationText(_ path: String) throws -> String {
    let file = try MappedFile(path: path)
    return file.withUnsafeBytes(in: 0..<file.count) { bytes in
        String(
            decoding: bytes.last == UInt8(ascii: "\n") ? bytes.dropLast() : bytes[...],
            as: UTF8.self)
    }
}
