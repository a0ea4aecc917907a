extension SchemaCompiler {
    mutating func strings(
        _ shape: SchemaShape, _ from: Int32, _ to: Int32
    ) throws(ConstraintError) {
        let formats = shape.formats.compactMap { Self.formats[$0] }
        guard shape.patterns.count + formats.count <= 1 else {
            throw fault(shape, "several patterns or formats of one string", "one")
        }
        if let maximum = shape.maxLength, maximum < shape.minLength { return }
        if let pattern = shape.patterns.first {
            try emit(try regex(pattern, shape), shape, from, to)
        } else if let format = formats.first {
            try emit(try RegexParser.whole(format, reader.limits), shape, from, to)
        } else if shape.minLength == 0, shape.maxLength == nil {
            builder.call(from, try builder.jsonString(), to)
        } else {
            try bounded(shape, from, to)
        }
    }

    /// A regular expression of a schema, which faults name.
    func regex(_ text: String, _ shape: SchemaShape) throws(ConstraintError) -> Pattern {
        do {
            return try RegexParser.part(text, reader.limits)
        } catch {
            guard case .regex(let offset, let found, let supported) = error else { throw error }
            throw fault(shape, "a pattern with \(found) at offset \(offset)", supported)
        }
    }

    private mutating func emit(
        _ pattern: Pattern, _ shape: SchemaShape, _ from: Int32, _ to: Int32
    ) throws(ConstraintError) {
        guard let fitting = pattern.limited(shape.minLength, shape.maxLength) else {
            throw fault(
                shape, "a pattern beside minLength or maxLength",
                "a pattern that bounds the length itself, such as ^[a-z]{1,9}$")
        }
        try quoted(fitting, from, to)
    }

    /// A pattern between quotation marks, its characters escaped where JSON demands it.
    mutating func quoted(
        _ pattern: Pattern, _ from: Int32, _ to: Int32
    ) throws(ConstraintError) {
        let inside = try builder.state()
        let end = try builder.state()
        builder.edge(from, 0x22...0x22, inside)
        try builder.emit(pattern, from: inside, to: end, .jsonString)
        builder.edge(end, 0x22...0x22, to)
    }

    /// A string of bounded length: one state per character, with escapes in a rule of their own.
    private mutating func bounded(
        _ shape: SchemaShape, _ from: Int32, _ to: Int32
    ) throws(ConstraintError) {
        let copies = shape.maxLength ?? shape.minLength
        guard copies <= reader.limits.states else {
            throw .tooLarge(
                place: "JSON schema at \(shape.pointer)", what: "characters of bounded length",
                limit: reader.limits.states)
        }
        let escape = try builder.jsonEscape()
        var place = try builder.state()
        builder.edge(from, 0x22...0x22, place)
        for count in 0..<copies {
            if count >= shape.minLength { builder.edge(place, 0x22...0x22, to) }
            let next = try builder.state()
            try builder.characters(GrammarBuilder.unescaped, from: place, to: next, .plain)
            builder.call(place, escape, next)
            place = next
        }
        builder.edge(place, 0x22...0x22, to)
        guard shape.maxLength == nil else { return }
        try builder.jsonCharacter(from: place, to: place)
    }

    /// Formats that are enforced; others are annotations, as JSON Schema has it.
    private static let formats: [String: String] = {
        let year = "(?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"
        let leap =
            "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])"
            + "|(?:0[48]|[2468][048]|[13579][26])00)"
        let date =
            "(?:\(year)-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
            + "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
            + "|\(leap)-02-29)"
        let time =
            "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,6})?"
            + "(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
        let label = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
        let host = "\(label)(?:\\.\(label)){0,3}"
        let byte = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
        let word = "[A-Za-z0-9_+-]{1,32}"
        return [
            "date": date,
            "time": time,
            "date-time": "\(date)T\(time)",
            "uuid": "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
            "email": "\(word)(?:\\.\(word)){0,3}@\(label)(?:\\.\(label)){1,3}",
            "hostname": host,
            "ipv4": "\(byte)(?:\\.\(byte)){3}",
            "ipv6": "[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{1,4}){7}",
            "uri": "[a-z][a-z0-9+.-]{0,15}://\(host)(?::[1-9][0-9]{0,3})?"
                + "(?:/[A-Za-z0-9._~!$&'()*+,;=:@-]*)*(?:\\?[A-Za-z0-9._~!$&'()*+,;=:@/-]*)?",
            "duration": "P(?:[0-9]{1,9}D|(?:[0-9]{1,9}D)?T[0-9]{1,9}[HMS]|[0-9]{1,9}[WMY])",
        ]
    }()
}

extension Pattern {
    /// The same pattern for texts of bounded length, or `nil` if that cannot be said this way.
    func limited(_ minimum: Int, _ maximum: Int?) -> Pattern? {
        let (least, most) = lengths
        if least >= minimum, maximum == nil || most.map({ $0 <= maximum ?? 0 }) ?? false {
            return self
        }
        switch self {
        case .repeated(let body, let low, let high):
            guard case .characters = body else { return nil }
            let upper = high.map { min($0, maximum ?? $0) } ?? maximum
            if let upper, upper < max(low, minimum) { return .nothing }
            return .repeated(body, minimum: max(low, minimum), maximum: upper)
        case .choice(let parts):
            var limited: [Pattern] = []
            for part in parts {
                guard let part = part.limited(minimum, maximum) else { return nil }
                limited.append(part)
            }
            return .choice(limited)
        case .sequence(let parts):
            // Only one part may be of open length; the others count as they are.
            let full = parts.filter { if case .empty = $0 { false } else { true } }
            let open = full.indices.filter { full[$0].lengths.least != full[$0].lengths.most }
            guard open.count == 1 else { return nil }
            let fixed = full.indices.filter { $0 != open[0] }
                .reduce(0) { $0 + full[$1].lengths.least }
            if let maximum, maximum < fixed { return .nothing }
            guard
                let part = full[open[0]].limited(
                    max(0, minimum - fixed), maximum.map { $0 - fixed })
            else { return nil }
            var result = full
            result[open[0]] = part
            return .sequence(result)
        default:
            return .nothing
        }
    }

    /// The least and the greatest number of characters; no greatest if there is no bound.
    var lengths: (least: Int, most: Int?) {
        switch self {
        case .empty, .nothing: return (0, 0)
        case .literal(let bytes):
            let count = bytes.count { $0 & 0xC0 != 0x80 }
            return (count, count)
        case .characters: return (1, 1)
        case .rule: return (0, nil)
        case .sequence(let parts):
            return parts.reduce((0, 0)) { sum, part in
                let (least, most) = part.lengths
                return (
                    Self.sum(sum.0, least),
                    sum.1.flatMap { total in most.map { Self.sum(total, $0) } }
                )
            }
        case .choice(let parts):
            let lengths = parts.map(\.lengths)
            let isBounded = lengths.allSatisfy { $0.most != nil }
            return (
                lengths.map(\.least).min() ?? 0,
                isBounded ? lengths.compactMap(\.most).max() ?? 0 : nil
            )
        case .repeated(let body, let minimum, let maximum):
            let (least, most) = body.lengths
            let upper = most == 0 ? 0 : most.flatMap { most in maximum.map { Self.product(most, $0) } }
            return (Self.product(least, minimum), upper)
        }
    }

    private static func sum(_ a: Int, _ b: Int) -> Int {
        let (sum, overflow) = a.addingReportingOverflow(b)
        return overflow ? Int.max : sum
    }

    private static func product(_ a: Int, _ b: Int) -> Int {
        let (product, overflow) = a.multipliedReportingOverflow(by: b)
        return overflow ? Int.max : product
    }
}
