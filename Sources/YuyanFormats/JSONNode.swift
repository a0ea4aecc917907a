/// The types of JSON values.
public enum JSONKind: Sendable, Hashable {
    /// The literal `null`.
    case null
    /// `true` or `false`.
    case bool
    /// Any number.
    case number
    /// Text.
    case string
    /// `[...]`
    case array
    /// `{...}`
    case object
}

/// One word of the tape that a JSON text is parsed into.
///
/// Four bits say what it is; two fields of 30 bits say where. For a number or string they are the
/// length and place of its text; for an array or object the index of the word after its last part,
/// and the number of its elements or entries.
@usableFromInline
struct JSONNode: BitwiseCopyable, Sendable {
    @usableFromInline
    enum Tag: UInt64, Sendable {
        case null, no, yes
        /// Digits with an optional sign, as opposed to a fraction or an exponent.
        case integer
        case real
        /// A string whose text stands for itself, as opposed to one with backslashes.
        case plainString
        case escapedString
        case array
        case object
    }

    static let fieldLimit = 1 << 30

    @usableFromInline var word: UInt64

    init(_ tag: Tag, high: Int = 0, low: Int = 0) {
        word =
            tag.rawValue << 60 | UInt64(truncatingIfNeeded: high) << 30
            | UInt64(truncatingIfNeeded: low)
    }

    @inlinable var tag: Tag { Tag(rawValue: word >> 60) ?? .null }
    @inlinable var high: Int { Int(word >> 30 & 0x3FFF_FFFF) }
    @inlinable var low: Int { Int(word & 0x3FFF_FFFF) }

    /// Where the text of a number or string is, without quotes.
    @inlinable var textRange: Range<Int> { low..<low + high }
    /// The elements of an array or entries of an object.
    @inlinable var count: Int { low }
    @inlinable var isContainer: Bool { word >> 60 >= Tag.array.rawValue }

    /// The index of the word after this value, which is at `index`.
    @inlinable
    func next(after index: Int) -> Int { isContainer ? high : index + 1 }

    @inlinable var kind: JSONKind {
        switch tag {
        case .null: .null
        case .no, .yes: .bool
        case .integer, .real: .number
        case .plainString, .escapedString: .string
        case .array: .array
        case .object: .object
        }
    }
}
