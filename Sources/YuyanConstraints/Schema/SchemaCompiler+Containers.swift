import YuyanFormats

extension SchemaCompiler {
    mutating func arrays(
        _ shape: SchemaShape, _ from: Int32, _ to: Int32
    ) throws(ConstraintError) {
        let prefix = shape.items.map(\.prefix.count).max() ?? 0
        let bound = shape.maxItems ?? max(shape.minItems, prefix)
        guard bound <= reader.limits.states else {
            throw .tooLarge(
                place: "JSON schema at \(shape.pointer)", what: "elements",
                limit: reader.limits.states)
        }
        if let maximum = shape.maxItems, maximum < shape.minItems { return }
        var place = try opened("[", from)
        for index in 0..<bound {
            if index >= shape.minItems { try close("]", place, to, isEmpty: index == 0) }
            let start = index == 0 ? place : try comma(place)
            place = try builder.state()
            builder.call(start, try element(index, of: shape), place)
        }
        if bound >= shape.minItems { try close("]", place, to, isEmpty: bound == 0) }
        guard shape.maxItems == nil else { return }
        let rest = try element(bound, of: shape)
        if bound == 0 {
            let next = try builder.state()
            builder.call(place, rest, next)
            place = next
            try close("]", place, to, isEmpty: false)
        }
        builder.call(try comma(place), rest, place)
    }

    /// The rule of an array's element.
    private mutating func element(
        _ index: Int, of shape: SchemaShape
    ) throws(ConstraintError) -> Int32 {
        var schemas: [SchemaReference] = []
        for part in shape.items {
            if index < part.prefix.count {
                schemas.append(part.prefix[index])
            } else if let rest = part.rest {
                schemas.append(rest)
            }
        }
        return try rule(for: schemas)
    }

    /// Objects: properties in the order of the schema, then others if they are allowed.
    mutating func objects(
        _ shape: SchemaShape, _ from: Int32, _ to: Int32
    ) throws(ConstraintError) {
        if try patterned(shape, from, to) { return }
        var names: [String] = []
        var known: Set<String> = []
        for name in shape.members.flatMap({ $0.properties.map(\.name) }) + shape.required
        where known.insert(name).inserted {
            names.append(name)
        }
        let explicit = shape.members.compactMap(\.additional)
        // Without a word about others, an object with properties has those only, as strict
        // structured outputs have it.
        let hasOthers =
            explicit.isEmpty
            ? shape.members.allSatisfy { $0.properties.isEmpty }
            : explicit.allSatisfy { $0.cursor.bool != false }
        let required = Set(shape.required)
        try checkCounts(shape, names, required, hasOthers)

        // `none` is reached before the first property, `some` after one.
        var none = try opened("{", from)
        var some = try builder.state()
        let lists = shape.members.map { part in
            Dictionary(part.properties.map { ($0.name, $0.schema) }) { $1 }
        }
        for name in names {
            var schemas: [SchemaReference] = []
            for (part, properties) in zip(shape.members, lists) {
                if let schema = properties[name] {
                    schemas.append(schema)
                } else if let additional = part.additional {
                    schemas.append(additional)
                }
            }
            let start = try builder.state()
            builder.skip(none, start)
            builder.skip(try comma(some), start)
            let value = try key(Self.quoted(name), start)
            let nextSome = try builder.state()
            builder.call(value, try rule(for: schemas), nextSome)
            let nextNone = try builder.state()
            if !required.contains(name) {
                builder.skip(none, nextNone)
                builder.skip(some, nextSome)
            }
            none = nextNone
            some = nextSome
        }
        if shape.minProperties == 0 || names.isEmpty && !hasOthers {
            try close("}", none, to, isEmpty: true)
        }
        try close("}", some, to, isEmpty: false)
        guard hasOthers, shape.maxProperties != 0 else { return }
        let start = try builder.state()
        builder.skip(none, start)
        builder.skip(try comma(some), start)
        let end = try builder.state()
        try otherKey(than: names, start, end)
        builder.call(try colon(end), try rule(for: explicit), some)
    }

    private func checkCounts(
        _ shape: SchemaShape, _ names: [String], _ required: Set<String>, _ hasOthers: Bool
    ) throws(ConstraintError) {
        if shape.minProperties > max(1, required.count) {
            throw fault(
                shape, "minProperties \(shape.minProperties)",
                "1, or no more than 'required' names")
        }
        if let maximum = shape.maxProperties, maximum < names.count || hasOthers && maximum > 0 {
            throw fault(
                shape, "maxProperties \(maximum)",
                "no less than 'properties' names, without additional ones")
        }
    }

    /// Objects whose keys match a pattern; returns whether the shape is one of these.
    private mutating func patterned(
        _ shape: SchemaShape, _ from: Int32, _ to: Int32
    ) throws(ConstraintError) -> Bool {
        guard let part = shape.members.first(where: { !$0.patterns.isEmpty }) else { return false }
        guard shape.members.count == 1, part.patterns.count == 1, part.properties.isEmpty,
            shape.required.isEmpty, shape.minProperties <= 1, shape.maxProperties == nil,
            part.additional.map({ $0.cursor.bool == false }) ?? true
        else {
            throw fault(
                shape, "patternProperties beside other keywords of objects",
                "one pattern alone, with additionalProperties false")
        }
        let pattern = try regex(part.patterns[0].pattern, shape)
        let first = try opened("{", from)
        let start = try builder.state()
        let end = try builder.state()
        let some = try builder.state()
        builder.skip(first, start)
        try quoted(pattern, start, end)
        builder.call(try colon(end), try rule(for: [part.patterns[0].schema]), some)
        builder.skip(try comma(some), start)
        if shape.minProperties == 0 { try close("}", first, to, isEmpty: true) }
        try close("}", some, to, isEmpty: false)
        return true
    }

    /// A key that is none of some names.
    ///
    /// Each character is written in one way only (no `\u`), so that other bytes are another key.
    private mutating func otherKey(
        than names: [String], _ from: Int32, _ to: Int32
    ) throws(ConstraintError) {
        guard !names.isEmpty else {
            builder.call(from, try builder.jsonString(), to)
            return
        }
        let names = KeyTrie(names.map { Array(Self.quoted($0).dropFirst().dropLast()) })
        let escape = UTF8Steps.count
        var states: [Int: Int32] = [:]
        var work: [(node: Int, step: Int)] = [(0, 0)]
        // Node -1 has left all names.
        func key(_ node: Int, _ step: Int) -> Int { (node + 1) * (escape + 1) + step }
        let first = try builder.state()
        builder.edge(from, 0x22...0x22, first)
        states[key(0, 0)] = first
        while let (node, step) = work.popLast() {
            let state = states[key(node, step)] ?? first
            for byte in UInt8(0x20)...0xF4 {
                let nextStep: Int
                if step == escape {
                    guard "\"\\bfnrt".utf8.contains(byte) else { continue }
                    nextStep = 0
                } else if step == 0, byte == 0x22 {
                    if node < 0 || !names.isEnd[node] { builder.edge(state, 0x22...0x22, to) }
                    continue
                } else if step == 0, byte == 0x5C {
                    nextStep = escape
                } else {
                    guard let next = UTF8Steps.next(step, byte) else { continue }
                    nextStep = next
                }
                let nextNode = node < 0 ? -1 : names.children[node][byte] ?? -1
                let target: Int32
                if let known = states[key(nextNode, nextStep)] {
                    target = known
                } else {
                    target = try builder.state()
                    states[key(nextNode, nextStep)] = target
                    work.append((nextNode, nextStep))
                }
                builder.edge(state, byte...byte, target)
            }
        }
    }
}

/// Names as a tree of bytes.
private struct KeyTrie {
    private(set) var children: [[UInt8: Int]] = [[:]]
    private(set) var isEnd: [Bool] = [false]

    init(_ names: [[UInt8]]) {
        for name in names {
            var node = 0
            for byte in name {
                if let child = children[node][byte] {
                    node = child
                } else {
                    children.append([:])
                    isEnd.append(false)
                    children[node][byte] = children.count - 1
                    node = children.count - 1
                }
            }
            isEnd[node] = true
        }
    }
}
