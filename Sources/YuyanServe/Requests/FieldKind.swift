import YuyanFormats

/// What a field of a request may hold: checked on every request, published in `/openapi.json`.
indirect enum FieldKind: Sendable {
    case boolean
    case integer(ClosedRange<Int>)
    case number(ClosedRange<Double>)
    /// A number above the first and at most the second.
    case above(Double, upTo: Double)
    /// A text of so many bytes.
    case string(minBytes: Int = 0, maxBytes: Int)
    /// One of these texts.
    case choice([String])
    case list(FieldKind, count: ClosedRange<Int>)
    /// An object with these fields, and others that are ignored.
    case object([Field])
    /// An object whose field `by` says which fields it has; without it, it is the first variant.
    case variants(by: String, isRequired: Bool = true, [Variant])
    /// An object whose names are free.
    case map(FieldKind, maxCount: Int)
    /// An object whose names are token ids below `below`.
    case tokens(FieldKind, below: Int, maxCount: Int)
    case either([FieldKind])
    /// The name of the model or of an adapter, which are known only when it is asked for.
    case model
    /// False, because true is not taken, for a reason.
    case never(String)
    /// Known and never taken, for a reason; not published.
    case refused(String)
    case anything

    /// The fields of an object that is one of several kinds of objects.
    struct Variant: Sendable {
        let names: [String]
        let fields: [Field]

        init(_ names: String..., fields: [Field]) {
            self.names = names
            self.fields = fields
        }
    }

    static let text = FieldKind.string(maxBytes: 64 << 20)
    static let name = FieldKind.string(maxBytes: 512)
    static let freeObject = FieldKind.map(.anything, maxCount: 4096)
    static let count = FieldKind.integer(1...Int(Int32.max))
}

/// One field of a request.
struct Field: Sendable {
    let name: String
    let kind: FieldKind
    let isRequired: Bool

    init(_ name: String, _ kind: FieldKind, required: Bool = false) {
        self.name = name
        self.kind = kind
        isRequired = required
    }

    /// Whether the description of the service names the field.
    var isPublished: Bool { if case .refused = kind { false } else { true } }
}

extension FieldKind {
    /// Checks a value.
    ///
    /// - Throws: `.field` with the path of the innermost value that is wrong.
    func check(_ value: JSONCursor, at path: String) throws(RequestError) {
        switch self {
        case .anything: return
        case .boolean: if value.bool != nil { return }
        case .integer(let range):
            if value.kind == .number, let whole = value.int, range.contains(whole) { return }
        case .number(let range):
            if let number = value.double, range.contains(number) { return }
        case .above(let least, let most):
            if let number = value.double, number > least, number <= most { return }
        case .string(let minBytes, let maxBytes):
            var scratch: [UInt8] = []
            if let count = value.withStringBytes(&scratch, { $0.byteCount }),
                (minBytes...maxBytes).contains(count)
            {
                return
            }
        case .model:
            try FieldKind.name.check(value, at: path)
            return
        case .never(let reason):
            if value.bool == false { return }
            if value.bool == true { throw .field(param: path, message: reason) }
        case .refused(let reason): throw .field(param: path, message: reason)
        case .choice(let names):
            if let text = value.string, names.contains(text) { return }
        case .list(let kind, let count):
            if let elements = value.array, count.contains(elements.count) {
                for (index, element) in elements.enumerated() {
                    try kind.check(element, at: "\(path)[\(index)]")
                }
                return
            }
        case .map(let kind, let maxCount):
            if value.kind == .object, value.count <= maxCount {
                if case .anything = kind { return }
                for (key, element) in value.entries ?? [] {
                    try kind.check(element, at: "\(path).\(key.prefix(64))")
                }
                return
            }
        case .tokens(let kind, let limit, let maxCount):
            if value.kind == .object, value.count <= maxCount {
                for (key, element) in value.entries ?? [] {
                    guard let token = Int(key), (0..<limit).contains(token) else {
                        throw .field(
                            param: path,
                            message: "has the key \(JSONOutput.string(String(key.prefix(40)))); "
                                + "expected token ids from 0 to \(limit - 1)")
                    }
                    try kind.check(element, at: "\(path).\(key.prefix(64))")
                }
                return
            }
        case .object(let fields):
            if value.kind == .object {
                _ = try RequestBody(value, fields, path: path)
                return
            }
        case .variants(let tag, let isRequired, let variants):
            if value.kind == .object {
                let names = FieldKind.choice(variants.flatMap(\.names))
                let named = try RequestBody(
                    value, [Field(tag, names, required: isRequired)], path: path
                ).string(tag)
                let variant = variants.first { named.map($0.names.contains) ?? true }
                _ = try RequestBody(value, variant?.fields ?? [], path: path)
                return
            }
        case .either(let kinds):
            try checkAny(of: kinds, value, at: path)
            return
        }
        throw .field(param: path, message: "is \(value.summary); expected \(expected)")
    }

    /// Blames the place inside a container if only one alternative has the value's type.
    private func checkAny(
        of kinds: [FieldKind], _ value: JSONCursor, at path: String
    ) throws(RequestError) {
        let fitting = kinds.filter { $0.mayHold(value) }
        var first: RequestError?
        for kind in fitting {
            do throws(RequestError) {
                try kind.check(value, at: path)
                return
            } catch {
                first = first ?? error
            }
        }
        if fitting.count == 1, let first { throw first }
        throw .field(param: path, message: "is \(value.summary); expected \(expected)")
    }

    /// Collects the names inside a value that was checked and that mean nothing here.
    func collectIgnored(_ value: JSONCursor, at path: String, into names: inout Set<String>) {
        guard names.count < Self.mostIgnored else { return }
        switch self {
        case .object(let fields): Self.collect(value, fields, at: path, into: &names)
        case .variants(let tag, _, let variants):
            let name = value[tag]?.string
            let variant = variants.first { name.map($0.names.contains) ?? true }
            Self.collect(
                value, [Field(tag, .name)] + (variant?.fields ?? []), at: path, into: &names)
        case .list(let kind, _):
            for element in (value.array.map(Array.init) ?? []) where element.kind == .object {
                kind.collectIgnored(element, at: path + "[]", into: &names)
            }
        case .either(let kinds):
            kinds.first { $0.mayHold(value) }?.collectIgnored(value, at: path, into: &names)
        default: break
        }
    }

    private static func collect(
        _ object: JSONCursor, _ fields: [Field], at path: String, into names: inout Set<String>
    ) {
        for (key, value) in object.entries ?? [] {
            if let field = fields.first(where: { $0.name == key }) {
                let place = path.isEmpty ? key : "\(path).\(key)"
                field.kind.collectIgnored(value, at: place, into: &names)
            } else if names.count < mostIgnored {
                names.insert((path.isEmpty ? "" : path + ".") + key.asFieldName)
            }
        }
    }

    private static let mostIgnored = 64

    private func mayHold(_ value: JSONCursor) -> Bool {
        switch self {
        case .anything, .refused: true
        case .boolean, .never: value.kind == .bool
        case .integer, .number, .above: value.kind == .number
        case .string, .choice, .model: value.kind == .string
        case .list(let kind, _):
            value.kind == .array && (value[0].map { kind.mayHold($0) } ?? true)
        case .object, .variants, .map, .tokens: value.kind == .object
        case .either(let kinds): kinds.contains { $0.mayHold(value) }
        }
    }

    /// In words.
    var expected: String {
        switch self {
        case .anything: "any value"
        case .boolean: "true or false"
        case .integer(let range):
            range.lowerBound == .min && range.upperBound == .max
                ? "a whole number"
                : "a whole number from \(range.lowerBound) to \(range.upperBound)"
        case .number(let range):
            "a number from \(range.lowerBound.short) to \(range.upperBound.short)"
        case .above(let least, let most): "a number above \(least.short) to \(most.short)"
        case .string(_, 0): "nothing, since it is not supported"
        case .string(0, let maxBytes): "a string of at most \(maxBytes) bytes"
        case .string(let minBytes, let maxBytes):
            "a string of \(minBytes) to \(maxBytes) bytes"
        case .model: "the name of a model"
        case .never: "false"
        case .refused(let reason): reason
        case .choice(let names): names.map { "\"\($0)\"" }.joined(separator: " or ")
        case .list(let kind, let count):
            "a list of \(count.lowerBound) to \(count.upperBound) elements, each \(kind.expected)"
        case .object, .variants: "an object"
        case .map(_, let maxCount), .tokens(_, _, let maxCount):
            "an object of at most \(maxCount) entries"
        case .either(let kinds): kinds.map(\.expected).joined(separator: ", or ")
        }
    }
}

extension String {
    /// The text if it looks like the name of a field; a client's words do not belong in the log.
    var asFieldName: String {
        let isName = utf8.count <= 64 && utf8.allSatisfy { $0.isFieldNameByte }
        return isName ? self : "…"
    }

    /// The path of a field without what a client may have written into it.
    var asFieldPath: String {
        split(separator: ".", omittingEmptySubsequences: false)
            .map { String($0).asFieldName }.joined(separator: ".")
    }
}

extension UInt8 {
    fileprivate var isFieldNameByte: Bool {
        switch self {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"),
            UInt8(ascii: "["), UInt8(ascii: "]"):
            true
        default: false
        }
    }
}

extension JSONCursor {
    /// The value in a few words, for messages.
    var summary: String {
        switch kind {
        case .null: return "null"
        case .bool: return bool == true ? "true" : "false"
        case .number:
            if let int { return "\(int)" }
            return double.map { "\($0)" } ?? "a number too large for a double"
        case .string:
            let text = string ?? ""
            return text.utf8.count <= 40
                ? JSONOutput.string(text).description : "a string of \(text.utf8.count) bytes"
        case .array: return "a list of \(count)"
        case .object: return "an object of \(count)"
        }
    }
}

extension Double {
    /// Without a fraction that is zero.
    var short: String { Int(exactly: self).map { "\($0)" } ?? "\(self)" }
}
