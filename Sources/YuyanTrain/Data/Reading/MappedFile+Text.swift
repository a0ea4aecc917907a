import YuyanFormats

extension MappedFile {
    /// The whole file as text, repaired with U+FFFD where it is no UTF-8.
    var text: String {
        withBytes { all in all.withUnsafeBytes { String(decoding: $0, as: UTF8.self) } }
    }
}
