import YuyanFormats

/// A schema and where it stands.
struct SchemaReference {
    let cursor: JSONCursor
    let pointer: String

    func member(_ key: String, _ value: JSONCursor) -> SchemaReference {
        let escaped = key.split(separator: "~", omittingEmptySubsequences: false)
            .joined(separator: "~0").split(separator: "/", omittingEmptySubsequences: false)
            .joined(separator: "~1")
        return SchemaReference(cursor: value, pointer: pointer + "/" + escaped)
    }

    func element(_ index: Int, of key: String, _ value: JSONCursor) -> SchemaReference {
        SchemaReference(cursor: value, pointer: "\(pointer)/\(key)/\(index)")
    }
}

/// The types of JSON; a number is either whole or has a fraction or an exponent.
struct SchemaTypes: OptionSet {
    let rawValue: UInt8
    static let null = SchemaTypes(rawValue: 1)
    static let boolean = SchemaTypes(rawValue: 2)
    static let integer = SchemaTypes(rawValue: 4)
    static let fraction = SchemaTypes(rawValue: 8)
    static let string = SchemaTypes(rawValue: 16)
    static let array = SchemaTypes(rawValue: 32)
    static let object = SchemaTypes(rawValue: 64)
    static let all = SchemaTypes(rawValue: 127)

    init(rawValue: UInt8) { self.rawValue = rawValue }

    /// The types that a name stands for.
    init?(name: String) {
        switch name {
        case "null": self = .null
        case "boolean": self = .boolean
        case "integer": self = .integer
        case "number": self = [.integer, .fraction]
        case "string": self = .string
        case "array": self = .array
        case "object": self = .object
        default: return nil
        }
    }

    /// The type of a value; a number such as 1.0 counts as whole.
    init(of value: JSONCursor) {
        switch value.kind {
        case .null: self = .null
        case .bool: self = .boolean
        case .string: self = .string
        case .array: self = .array
        case .object: self = .object
        case .number:
            let isWhole = value.isInteger || value.double.map { $0 == $0.rounded() } ?? false
            self = isWhole ? .integer : .fraction
        }
    }
}

/// What all keywords of some schemas say together; a value must satisfy every part.
struct SchemaShape {
    /// One schema's say about arrays.
    struct Items {
        var prefix: [SchemaReference] = []
        var rest: SchemaReference?
    }

    /// One schema's say about objects.
    struct Members {
        var properties: [(name: String, schema: SchemaReference)] = []
        var patterns: [(pattern: String, schema: SchemaReference)] = []
        var additional: SchemaReference?
    }

    /// Where the first schema stands, for messages.
    var pointer = "#"
    var types = SchemaTypes.all
    /// The values of `enum` or `const`.
    var values: [JSONCursor]?
    var minimum: NumberBound?
    var maximum: NumberBound?
    var divisors: [JSONCursor] = []
    var minLength = 0
    var maxLength: Int?
    var patterns: [String] = []
    var formats: [String] = []
    var minItems = 0
    var maxItems: Int?
    var items: [Items] = []
    var members: [Members] = []
    var required: [String] = []
    var minProperties = 0
    var maxProperties: Int?
}

/// A limit of numbers.
struct NumberBound {
    var value: DecimalNumber
    var isExclusive: Bool
}
