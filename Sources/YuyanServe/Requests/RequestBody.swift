import YuyanFormats

/// A body, or an object in it, whose fields were checked against their table.
struct RequestBody: Sendable {
    /// Most fields of one object with a table; real requests have fewer than thirty.
    static let maxFields = 512

    /// The object itself.
    let object: JSONCursor
    /// Fields that have no place in the table.
    let ignored: [String]
    private let values: [String: JSONCursor]
    private let path: String

    /// Parses a body.
    ///
    /// - Throws: `.body` if it is no JSON object, `.field` naming the field that is wrong.
    init(bytes: [UInt8], _ fields: [Field]) throws(RequestError) {
        let document: JSONDocument
        do throws(FormatError) {
            document = try JSONDocument(bytes: bytes, name: "the request body")
        } catch {
            throw .body("\(error); expected one JSON object in UTF-8")
        }
        guard document.root.kind == .object else {
            throw .body("the request body is \(document.root.summary); expected a JSON object")
        }
        try self.init(document.root, fields, path: "")
    }

    /// Checks an object.
    init(_ object: JSONCursor, _ fields: [Field], path: String) throws(RequestError) {
        guard object.count <= Self.maxFields else {
            throw .field(
                param: path.isEmpty ? "body" : path,
                message: "has \(object.count) fields; expected at most \(Self.maxFields)")
        }
        var given: [String: JSONCursor] = [:]
        for (key, value) in object.entries ?? [] { given[key] = value }
        var values: [String: JSONCursor] = [:]
        for field in fields {
            let place = path.isEmpty ? field.name : "\(path).\(field.name)"
            // null means "not set" to every client library.
            guard let value = given.removeValue(forKey: field.name), !value.isNull else {
                if field.isRequired {
                    throw .field(
                        param: place, message: "is missing; expected \(field.kind.expected)")
                }
                continue
            }
            try field.kind.check(value, at: place)
            values[field.name] = value
        }
        self.object = object
        self.values = values
        self.path = path
        ignored = path.isEmpty ? Self.ignored(object, fields) : given.keys.sorted()
    }

    /// Names that no table has, at any depth, as the log may hold them: places in lists, and what
    /// cannot be the name of a field, left out.
    private static func ignored(_ object: JSONCursor, _ fields: [Field]) -> [String] {
        var names: Set<String> = []
        FieldKind.object(fields).collectIgnored(object, at: "", into: &names)
        return names.sorted()
    }

    /// The value of a field of the table, or nil if it is absent or null.
    subscript(_ name: String) -> JSONCursor? { values[name] }

    func string(_ name: String) -> String? { values[name]?.string }
    func int(_ name: String) -> Int? { values[name]?.int }
    func float(_ name: String) -> Float? { values[name]?.double.map { Float($0) } }
    func bool(_ name: String) -> Bool { values[name]?.bool ?? false }
    func optionalBool(_ name: String) -> Bool? { values[name]?.bool }
    func list(_ name: String) -> [JSONCursor]? { values[name]?.array.map(Array.init) }

    /// The value itself if it is a text, its elements if it is a list.
    func strings(_ name: String) -> [String]? {
        guard let value = values[name] else { return nil }
        if let text = value.string { return [text] }
        return value.array.map { $0.compactMap(\.string) }
    }
}
