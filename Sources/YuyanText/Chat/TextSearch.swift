extension String {
    /// Whether the bytes of a text occur in this one.
    package func containsText(_ text: String) -> Bool { utf8Range(of: text, last: false) != nil }

    /// Where the bytes of a text lie, first or last, as offsets in UTF-8.
    package func utf8Range(of text: String, last: Bool) -> Range<Int>? {
        let bytes = Array(utf8)
        let wanted = Array(text.utf8)
        guard wanted.count <= bytes.count else { return nil }
        func matches(_ start: Int) -> Bool {
            for offset in wanted.indices where bytes[start + offset] != wanted[offset] {
                return false
            }
            return true
        }
        let starts = 0...(bytes.count - wanted.count)
        let found = last ? starts.last(where: matches) : starts.first(where: matches)
        return found.map { $0..<$0 + wanted.count }
    }
}
