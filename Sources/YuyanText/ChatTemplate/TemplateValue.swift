/// A piece of data that a template can read: what JSON can hold, with objects in order.
///
/// Strings are compared by Unicode scalars, as Python does, so that canonically equivalent texts
/// with different bytes are different values.
public enum TemplateValue: Sendable {
    /// `None` in Python, `null` in JSON.
    case none
    /// A truth value.
    case bool(Bool)
    /// A whole number.
    case integer(Int)
    /// A number with a fractional part or exponent.
    case float(Double)
    /// A text.
    case string(String)
    /// An ordered sequence.
    case array([TemplateValue])
    /// A mapping from names to values, in insertion order.
    case object(TemplateObject)
}

/// A mapping from names to values that remembers the order of insertion.
public struct TemplateObject: Sendable {
    /// All entries in insertion order; names are unique.
    public private(set) var entries: [(key: String, value: TemplateValue)] = []

    /// Creates an empty object.
    public init() {}

    /// Creates an object from entries; a repeated name keeps its place and takes the last value.
    public init(_ entries: [(key: String, value: TemplateValue)]) {
        guard entries.count > 8 else {
            for (key, value) in entries {
                if let place = index(of: key) {
                    self.entries[place].value = value
                } else {
                    self.entries.append((key, value))
                }
            }
            return
        }
        // Requests are untrusted: thousands of names must not cost a quadratic search.
        var places: [[UInt8]: Int] = [:]
        for (key, value) in entries {
            if let place = places[Array(key.utf8)] {
                self.entries[place].value = value
            } else {
                places[Array(key.utf8)] = self.entries.count
                self.entries.append((key, value))
            }
        }
    }

    /// The value of a name, or nil; setting nil removes the entry.
    public subscript(key: String) -> TemplateValue? {
        get { index(of: key).map { entries[$0].value } }
        set {
            switch (index(of: key), newValue) {
            case (let place?, let value?): entries[place].value = value
            case (let place?, nil): entries.remove(at: place)
            case (nil, let value?): entries.append((key, value))
            case (nil, nil): break
            }
        }
    }

    private func index(of key: String) -> Int? {
        entries.firstIndex { sameText($0.key, key) }
    }
}

/// One turn of a conversation with plain text.
public struct ChatMessage: Sendable, Hashable {
    /// Who speaks: `system`, `user`, `assistant`, `tool`.
    public var role: String
    /// What is said.
    public var content: String

    /// Creates a turn.
    public init(role: String, content: String) {
        self.role = role
        self.content = content
    }

    /// The turn as templates read it.
    public var templateValue: TemplateValue {
        ["role": .string(role), "content": .string(content)]
    }
}

/// Whether two texts have the same Unicode scalars; `==` would ignore normalisation.
func sameText(_ a: String, _ b: String) -> Bool {
    let (x, y) = (a.utf8, b.utf8)
    guard x.count == y.count else { return false }
    // Equal bytes are the common case for names, and `==` first compares storage as a whole; it
    // also accepts equivalent texts with other scalars, which the bytes then tell apart.
    return a == b && x.elementsEqual(y)
}

extension TemplateValue: Hashable {
    /// Equality by type and content; texts by scalars.
    public static func == (a: TemplateValue, b: TemplateValue) -> Bool {
        switch (a, b) {
        case (.none, .none): true
        case (.bool(let x), .bool(let y)): x == y
        case (.integer(let x), .integer(let y)): x == y
        case (.float(let x), .float(let y)): x == y
        case (.string(let x), .string(let y)): sameText(x, y)
        case (.array(let x), .array(let y)): x == y
        case (.object(let x), .object(let y)): x == y
        default: false
        }
    }

    /// Hashes consistently with `==`.
    public func hash(into hasher: inout Hasher) {
        switch self {
        case .none: hasher.combine(0)
        case .bool(let value): hasher.combine(value)
        case .integer(let value): hasher.combine(value)
        case .float(let value): hasher.combine(value)
        case .string(let text): for byte in text.utf8 { hasher.combine(byte) }
        case .array(let items): hasher.combine(items)
        case .object(let object): hasher.combine(object)
        }
    }
}

extension TemplateObject: Hashable {
    /// Equality of entries and their order.
    public static func == (a: TemplateObject, b: TemplateObject) -> Bool {
        a.entries.count == b.entries.count
            && zip(a.entries, b.entries).allSatisfy {
                sameText($0.key, $1.key) && $0.value == $1.value
            }
    }

    /// Hashes consistently with `==`.
    public func hash(into hasher: inout Hasher) {
        for (key, value) in entries {
            for byte in key.utf8 { hasher.combine(byte) }
            hasher.combine(value)
        }
    }
}

extension TemplateObject: ExpressibleByDictionaryLiteral {
    /// Creates an object in the order written.
    public init(dictionaryLiteral elements: (String, TemplateValue)...) {
        self.init(elements.map { (key: $0.0, value: $0.1) })
    }
}

extension TemplateValue: ExpressibleByStringLiteral, ExpressibleByStringInterpolation,
    ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
    /// Creates a text.
    public init(stringLiteral value: String) { self = .string(value) }
    /// Creates a whole number.
    public init(integerLiteral value: Int) { self = .integer(value) }
    /// Creates a number.
    public init(floatLiteral value: Double) { self = .float(value) }
    /// Creates a truth value.
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    /// Creates a sequence.
    public init(arrayLiteral elements: TemplateValue...) { self = .array(elements) }
    /// Creates an object in the order written.
    public init(dictionaryLiteral elements: (String, TemplateValue)...) {
        self = .object(TemplateObject(elements.map { (key: $0.0, value: $0.1) }))
    }
    /// Creates `none`.
    public init(nilLiteral: ()) { self = .none }
}
