extension CompiledConstraint {
    /// Compiles a constraint for a vocabulary.
    ///
    /// Takes milliseconds for usual schemas, and is bounded by `limits` for unusual ones.
    ///
    /// - Parameters:
    ///   - source: What answers must look like.
    ///   - vocabulary: The tokens they are written in.
    ///   - limits: How much compiling and caches may cost.
    /// - Throws: ``ConstraintError`` if the source is wrong, says what masks cannot enforce, has no
    ///   answer, or is too large.
    public convenience init(
        _ source: ConstraintSource, vocabulary: ConstraintVocabulary,
        limits: ConstraintLimits = ConstraintLimits()
    ) throws(ConstraintError) {
        var builder = GrammarBuilder(limits: limits, place: "constraint")
        let root = try source.rule(in: &builder, depth: 0)
        let automaton = try Automaton(builder, root: root, hasByte: vocabulary.hasByte)
        try self.init(automaton, vocabulary, limits)
        try probe()
    }

    /// Compiles the strings and numbers of one alternative of a schema.
    convenience init(
        scalar shape: SchemaShape, reader: SchemaReader, vocabulary: ConstraintVocabulary,
        limits: ConstraintLimits
    ) throws(ConstraintError) {
        var builder = GrammarBuilder(limits: limits, place: "JSON schema at \(shape.pointer)")
        let root = try SchemaCompiler.compile(scalars: shape, reader, into: &builder)
        try self.init(
            try Automaton(builder, root: root, hasByte: vocabulary.hasByte), vocabulary, limits)
    }
}

extension ConstraintSource {
    /// Adds the rules of a source; returns the rule of the whole text.
    fileprivate func rule(
        in builder: inout GrammarBuilder, depth: Int
    ) throws(ConstraintError) -> Int32 {
        guard depth <= builder.limits.depth else {
            throw .tooLarge(place: "tags", what: "tags in tags", limit: builder.limits.depth)
        }
        switch self {
        case .jsonSchema(let schema):
            return try SchemaCompiler.compile(schema, into: &builder)
        case .jsonObject:
            builder.place = "JSON object"
            return try builder.jsonObject()
        case .regex(let text):
            builder.place = "regular expression"
            return try builder.rule("expression", RegexParser.whole(text, builder.limits))
        case .choice(let texts):
            builder.place = "choice"
            guard !texts.isEmpty else { throw .empty(place: "choice") }
            let rule = try builder.rule("choice")
            var bytes = 0
            for text in texts { bytes += text.utf8.count }
            guard bytes <= builder.limits.sourceBytes else {
                throw .tooLarge(place: "choice", what: "bytes", limit: builder.limits.sourceBytes)
            }
            try builder.literals(
                texts.map { Array($0.utf8) }, from: builder.entry(rule), to: builder.accept(rule))
            return rule
        case .gbnf(let text):
            builder.place = "grammar"
            return try GBNFParser.parse(text, into: &builder)
        case .tagged(let free, let tags, let atLeastOne, let atMostOne):
            var bodies: [Int32] = []
            for tag in tags { bodies.append(try tag.body.rule(in: &builder, depth: depth + 1)) }
            builder.place = "tags"
            return try builder.tagged(
                tags, bodies: bodies, free: free, atLeastOne: atLeastOne, atMostOne: atMostOne)
        }
    }
}
