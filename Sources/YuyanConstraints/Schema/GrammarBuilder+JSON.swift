/// Rules that all schemas share.
extension GrammarBuilder {
    /// The deepest indentation that is allowed, so that nobody indents forever.
    private static let deepestIndentation = 32

    /// White space between the parts of an array or object: nothing, a space, or a new line.
    mutating func jsonSpace() throws(ConstraintError) -> Int32 {
        if let rule = namedRules["space"] { return rule }
        let indentation = Pattern.repeated(
            .text(" "), minimum: 0, maximum: Self.deepestIndentation)
        let rule = try rule(
            "white space",
            .choice([.empty, .text(" "), .sequence([.text("\n"), indentation])]))
        namedRules["space"] = rule
        return rule
    }

    /// Any string.
    mutating func jsonString() throws(ConstraintError) -> Int32 {
        if let rule = namedRules["string"] { return rule }
        let rule = try rule("string")
        namedRules["string"] = rule
        let inside = try state()
        edge(entry(rule), 0x22...0x22, inside)
        try jsonCharacter(from: inside, to: inside)
        edge(inside, 0x22...0x22, accept(rule))
        return rule
    }

    /// One character of a string, by an escape.
    mutating func jsonEscape() throws(ConstraintError) -> Int32 {
        if let rule = namedRules["escape"] { return rule }
        let rule = try rule("escape")
        namedRules["escape"] = rule
        try jsonEscape(from: entry(rule), to: accept(rule))
        return rule
    }

    /// Any number below 1e118, with at most 17 digits after the point.
    mutating func jsonNumber() throws(ConstraintError) -> Int32 {
        if let rule = namedRules["number"] { return rule }
        let digit = Pattern.characters(.digits)
        let exponent = Pattern.sequence([
            .characters(CodePointSet(of: "eE")), .optional(.characters(CodePointSet(of: "+-"))),
            .repeated(digit, minimum: 1, maximum: 2),
        ])
        let rule = try rule(
            "number",
            .sequence([
                .optional(.text("-")),
                .choice([
                    .text("0"),
                    .sequence([
                        .characters(CodePointSet([0x31...0x39])),
                        .repeated(digit, minimum: 0, maximum: 18),
                    ]),
                ]),
                .optional(
                    .sequence([.text("."), .repeated(digit, minimum: 1, maximum: 17)])),
                .optional(exponent),
            ]))
        namedRules["number"] = rule
        return rule
    }

    /// Any value.
    mutating func jsonValue() throws(ConstraintError) -> Int32 {
        if let rule = namedRules["value"] { return rule }
        let rule = try rule("value")
        namedRules["value"] = rule
        let object = try jsonObject()
        let list = try brackets("[", .rule(rule), "]")
        try define(
            rule,
            .choice([
                .rule(object), .rule(list), .rule(try jsonString()), .rule(try jsonNumber()),
                .text("true"), .text("false"), .text("null"),
            ]))
        return rule
    }

    /// Any object.
    mutating func jsonObject() throws(ConstraintError) -> Int32 {
        if let rule = namedRules["object"] { return rule }
        let value = try jsonValue()
        // The value has asked for the object meanwhile.
        if let rule = namedRules["object"] { return rule }
        let member = Pattern.sequence([
            .rule(try jsonString()), .text(":"), .optional(.text(" ")), .rule(value),
        ])
        let rule = try brackets("{", member, "}")
        namedRules["object"] = rule
        return rule
    }

    /// A rule for a list between brackets, which may be empty.
    private mutating func brackets(
        _ open: String, _ item: Pattern, _ close: String
    ) throws(ConstraintError) -> Int32 {
        let space = Pattern.rule(try jsonSpace())
        let rest = Pattern.many(.sequence([.text(","), space, item]))
        return try rule(
            open + close,
            .sequence([
                .text(open), space,
                .optional(.sequence([item, rest, space])), .text(close),
            ]))
    }
}
