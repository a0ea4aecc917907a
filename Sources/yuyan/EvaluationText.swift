/// The text that a model is measured on, without one line end at its end.
///
/// llama-perplexity drops that too.
///
/// - Throws: `FormatError.cannotOpen`, `InputError` at the first byte that is no UTF-8.
func evaluationText(_ path: String) throws -> String {
    var text = try InputFile.text(path)
    if text.utf8.last == UInt8(ascii: "\n") { text.unicodeScalars.removeLast() }
    return text
}
