/// The character classes that pre-tokenizers ask for, looked up in a two-stage table.
///
/// The table is probed from HF `tokenizers` (Tools/goldens/tokenizers_unicode.py), whose parts follow
/// different Unicode versions, because equal ids matter more than one consistent edition.
struct UnicodeClasses: Sendable {
    /// `\p{L}` of the regular expressions.
    static let letter: UInt8 = 1
    /// `\p{N}` of the regular expressions.
    static let number: UInt8 = 2
    /// `\s` of the regular expressions.
    static let space: UInt8 = 4
    /// What the `Digits` pre-tokenizer calls numeric.
    static let digit: UInt8 = 8
    /// `\w` of the `single_word` test of added tokens.
    static let word: UInt8 = 16
    /// Scalars that NFC may change, reorder or join to what precedes them.
    static let unstable: UInt8 = 32
    /// `\p{P}` of the regular expressions.
    static let punctuation: UInt8 = 64

    static let shared = UnicodeClasses()

    /// Start of each 256-scalar page in `pages`; ASCII is page 0, at the start.
    private let starts: [UInt32]
    private let pages: [UInt8]

    private init() {
        var starts: [UInt32] = []
        var pages: [UInt8] = []
        var uniform: [UInt8: UInt32] = [:]
        var run = 0
        for page in 0..<0x1100 {
            let first = UInt32(page) << 8
            while run + 1 < Self.runs.count, Self.runs[run + 1] >> 8 <= first { run += 1 }
            let flags = UInt8(truncatingIfNeeded: Self.runs[run])
            let isUniform = run + 1 == Self.runs.count || Self.runs[run + 1] >> 8 >= first + 256
            if isUniform, let start = uniform[flags] {
                starts.append(start)
                continue
            }
            starts.append(UInt32(pages.count))
            if isUniform { uniform[flags] = UInt32(pages.count) }
            var inner = run
            for scalar in first..<first + 256 {
                while inner + 1 < Self.runs.count, Self.runs[inner + 1] >> 8 <= scalar {
                    inner += 1
                }
                pages.append(UInt8(truncatingIfNeeded: Self.runs[inner]))
            }
        }
        self.starts = starts
        self.pages = pages
    }

    /// Classes of an ASCII byte.
    @inline(__always)
    subscript(ascii byte: UInt8) -> UInt8 { pages[Int(byte)] }

    /// Classes of any scalar.
    @inline(__always)
    subscript(scalar: UInt32) -> UInt8 {
        pages[Int(starts[Int(scalar >> 8)]) &+ Int(scalar & 0xFF)]
    }
}

/// Reads the scalar that starts at `index`; the text is valid UTF-8, as every `String` is.
@inline(__always)
func scalar(in text: Span<UInt8>, at index: Int) -> (value: UInt32, width: Int) {
    let lead = UInt32(text[index])
    if lead < 0x80 { return (lead, 1) }
    let second = UInt32(text[index &+ 1] & 0x3F)
    if lead < 0xE0 { return ((lead & 0x1F) << 6 | second, 2) }
    let third = UInt32(text[index &+ 2] & 0x3F)
    if lead < 0xF0 { return ((lead & 0x0F) << 12 | second << 6 | third, 3) }
    let fourth = UInt32(text[index &+ 3] & 0x3F)
    return ((lead & 0x07) << 18 | second << 12 | third << 6 | fourth, 4)
}

/// Index at which the scalar that ends before `index` starts.
@inline(__always)
func scalarStart(in text: Span<UInt8>, before index: Int) -> Int {
    var start = index &- 1
    while start > 0, text[start] & 0xC0 == 0x80 { start &-= 1 }
    return start
}
