import YuyanFormats

/// Builds rules for schemas: one for each set of schemas that must hold together.
struct SchemaCompiler {
    let reader: SchemaReader
    var builder: GrammarBuilder
    private var rules: [String: Int32] = [:]
    private var queue: [(rule: Int32, schemas: [SchemaReference])] = []

    /// Adds the rules of a schema; returns the rule of its values.
    ///
    /// - Throws: `.schema`, `.unsatisfiable` or `.tooLarge`; `.regex` never.
    static func compile(
        _ schema: JSONCursor, into builder: inout GrammarBuilder
    ) throws(ConstraintError) -> Int32 {
        var compiler = SchemaCompiler(
            reader: SchemaReader(root: schema, limits: builder.limits), builder: builder)
        let root = SchemaReference(cursor: schema, pointer: "#")
        let rule = try compiler.rule(for: [root])
        // Rules are filled in from a queue, because schemas may contain themselves.
        var next = 0
        while next < compiler.queue.count {
            let (rule, schemas) = compiler.queue[next]
            next += 1
            compiler.builder.place = "JSON schema at \(schemas.first?.pointer ?? "#")"
            let from = compiler.builder.entry(rule)
            let to = compiler.builder.accept(rule)
            for shape in try compiler.reader.shapes(schemas) {
                try compiler.emit(shape, from, to)
            }
        }
        builder = compiler.builder
        builder.place = "JSON schema"
        return rule
    }

    /// Adds the rule of the strings and numbers of one alternative.
    static func compile(
        scalars shape: SchemaShape, _ reader: SchemaReader, into builder: inout GrammarBuilder
    ) throws(ConstraintError) -> Int32 {
        var compiler = SchemaCompiler(reader: reader, builder: builder)
        let rule = try compiler.builder.rule(shape.pointer)
        var shape = shape
        shape.values = shape.values?.filter { $0.kind == .string || $0.kind == .number }
        try compiler.emit(
            shape, compiler.builder.entry(rule), compiler.builder.accept(rule))
        builder = compiler.builder
        return rule
    }

    private init(reader: SchemaReader, builder: GrammarBuilder) {
        self.reader = reader
        self.builder = builder
    }

    /// The rule of values that satisfy all of some schemas.
    mutating func rule(for schemas: [SchemaReference]) throws(ConstraintError) -> Int32 {
        let schemas = schemas.filter { $0.cursor.bool != true }
        guard !schemas.isEmpty else { return try builder.jsonValue() }
        let key = Set(schemas.map(\.pointer)).sorted().joined(separator: "\u{0}")
        if let rule = rules[key] { return rule }
        let rule = try builder.rule(schemas[0].pointer)
        rules[key] = rule
        queue.append((rule, schemas))
        return rule
    }

    func fault(
        _ shape: SchemaShape, _ found: String, _ supported: String
    ) -> ConstraintError {
        .schema(pointer: shape.pointer, found: found, supported: supported)
    }

    private mutating func emit(
        _ shape: SchemaShape, _ from: Int32, _ to: Int32
    ) throws(ConstraintError) {
        if let values = shape.values {
            try emit(values, of: shape, from, to)
            return
        }
        let types = shape.types
        if types.contains(.null) { try builder.emit(.text("null"), from: from, to: to) }
        if types.contains(.boolean) {
            try builder.emit(.choice([.text("true"), .text("false")]), from: from, to: to)
        }
        if types.contains(.string) { try strings(shape, from, to) }
        if types.contains(.fraction) {
            try numbers(shape, from, to)
        } else if types.contains(.integer) {
            try integers(shape, from, to)
        }
        if types.contains(.array) { try arrays(shape, from, to) }
        if types.contains(.object) { try objects(shape, from, to) }
    }

    // MARK: Constants

    private mutating func emit(
        _ values: [JSONCursor], of shape: SchemaShape, _ from: Int32, _ to: Int32
    ) throws(ConstraintError) {
        var texts: [[UInt8]] = []
        for value in values where try allows(shape, value) {
            if value.kind == .array || value.kind == .object {
                try constant(value, from, to)
            } else {
                texts.append(Self.text(of: value))
            }
        }
        try builder.literals(texts, from: from, to: to)
    }

    /// Whether the other keywords beside `enum` or `const` allow a value.
    private func allows(_ shape: SchemaShape, _ value: JSONCursor) throws(ConstraintError) -> Bool {
        guard shape.types.contains(SchemaTypes(of: value)) else { return false }
        switch value.kind {
        case .string:
            let count = value.string?.unicodeScalars.count ?? 0
            guard shape.patterns.isEmpty, shape.formats.isEmpty else {
                throw fault(shape, "enum beside pattern or format", "one of them")
            }
            return count >= shape.minLength && count <= shape.maxLength ?? count
        case .number:
            guard let number = DecimalNumber(value) else {
                throw fault(shape, "a constant of more than 40 digits", "smaller numbers")
            }
            if !shape.divisors.isEmpty { throw fault(shape, "enum beside multipleOf", "enum") }
            return shape.bounds(number)
        case .array:
            guard shape.items.isEmpty else {
                throw fault(shape, "enum of arrays beside items", "one of them")
            }
            return value.count >= shape.minItems && value.count <= shape.maxItems ?? Int.max
        case .object:
            guard shape.members.isEmpty else {
                throw fault(shape, "enum of objects beside properties", "one of them")
            }
            return value.count >= shape.minProperties
                && value.count <= shape.maxProperties ?? Int.max
                && shape.required.allSatisfy { value[$0] != nil }
        case .null, .bool: return true
        }
    }

    /// A value in its one canonical form.
    static func text(of value: JSONCursor) -> [UInt8] {
        switch value.kind {
        case .null: return Array("null".utf8)
        case .bool: return Array((value.bool == true ? "true" : "false").utf8)
        case .number:
            if value.isInteger, let int = value.int { return Array("\(int)".utf8) }
            return Array("\(value.double ?? 0)".utf8)
        case .string, .array, .object: return quoted(value.string ?? "")
        }
    }

    /// A text as a JSON string with as few escapes as possible.
    static func quoted(_ text: String) -> [UInt8] {
        [0x22] + text.utf8.flatMap { GrammarBuilder.escaped($0) } + [0x22]
    }

    private mutating func constant(
        _ value: JSONCursor, _ from: Int32, _ to: Int32
    ) throws(ConstraintError) {
        let isArray = value.kind == .array
        guard isArray || value.kind == .object else {
            try builder.literal(Self.text(of: value), from: from, to: to)
            return
        }
        var place = try opened(isArray ? "[" : "{", from)
        let members = value.entries ?? value.array?.map { ("", $0) } ?? []
        for (index, member) in members.enumerated() {
            if index > 0 { place = try comma(place) }
            if !isArray { place = try key(Self.quoted(member.0), place) }
            let next = try builder.state()
            try constant(member.1, place, next)
            place = next
        }
        try close(isArray ? "]" : "}", place, to, isEmpty: members.isEmpty)
    }

    // MARK: Punctuation

    /// A bracket and white space.
    mutating func opened(_ bracket: Unicode.Scalar, _ from: Int32) throws(ConstraintError) -> Int32
    {
        let inside = try builder.state()
        let next = try builder.state()
        let byte = UInt8(ascii: bracket)
        builder.edge(from, byte...byte, inside)
        builder.call(inside, try builder.jsonSpace(), next)
        return next
    }

    mutating func comma(_ from: Int32) throws(ConstraintError) -> Int32 { try opened(",", from) }

    /// White space, unless the brackets are empty, and the closing bracket.
    mutating func close(
        _ bracket: Unicode.Scalar, _ from: Int32, _ to: Int32, isEmpty: Bool
    ) throws(ConstraintError) {
        let byte = UInt8(ascii: bracket)
        guard !isEmpty else {
            builder.edge(from, byte...byte, to)
            return
        }
        let next = try builder.state()
        builder.call(from, try builder.jsonSpace(), next)
        builder.edge(next, byte...byte, to)
    }

    /// A key as it is written, a colon, and at most one space.
    mutating func key(_ text: [UInt8], _ from: Int32) throws(ConstraintError) -> Int32 {
        let next = try builder.state()
        try builder.literal(text, from: from, to: next)
        return try colon(next)
    }

    mutating func colon(_ from: Int32) throws(ConstraintError) -> Int32 {
        let next = try builder.state()
        try builder.emit(
            .sequence([.text(":"), .optional(.text(" "))]), from: from, to: next)
        return next
    }
}

extension SchemaShape {
    /// Whether a number lies within minimum and maximum.
    func bounds(_ number: DecimalNumber) -> Bool {
        if let bound = minimum {
            if DecimalNumber.isLess(number, bound.value) { return false }
            if bound.isExclusive, !DecimalNumber.isLess(bound.value, number) { return false }
        }
        if let bound = maximum {
            if DecimalNumber.isLess(bound.value, number) { return false }
            if bound.isExclusive, !DecimalNumber.isLess(number, bound.value) { return false }
        }
        return true
    }
}
