public import YuyanFormats

/// What an answer must look like, before it is compiled for a vocabulary.
public indirect enum ConstraintSource: Sendable {
    /// A JSON text that satisfies a JSON schema.
    case jsonSchema(JSONCursor)
    /// Any JSON object.
    case jsonObject
    /// A text that a regular expression matches as a whole.
    case regex(String)
    /// One of some texts.
    case choice([String])
    /// A text of a grammar in the notation of llama.cpp, from its rule `root`.
    case gbnf(String)
    /// Tagged pieces, such as tool calls, alone or inside free text.
    ///
    /// With `free`, any text may surround the tags, but a text that says `begin` must go on with the
    /// body and `end`. Without, only tags may follow each other, with a little white space between.
    /// After the only tag of `atMostOne` the answer ends.
    case tagged(free: Bool, tags: [ConstraintTag], atLeastOne: Bool, atMostOne: Bool)
}

/// A piece of an answer between two fixed texts.
public struct ConstraintTag: Sendable {
    /// The text that opens the piece; not empty.
    public var begin: String
    /// What stands between the two texts.
    public var body: ConstraintSource
    /// The text that closes the piece; may be empty.
    public var end: String
    /// Most line ends and spaces between `begin` and the body.
    public var space: Int

    /// A piece between `begin` and `end`.
    public init(begin: String, body: ConstraintSource, end: String, space: Int = 0) {
        self.begin = begin
        self.body = body
        self.end = end
        self.space = space
    }
}

/// How much a constraint may cost; beyond it compiling fails, or caches start afresh.
public struct ConstraintLimits: Sendable, Hashable {
    /// States of the automaton before empty steps are removed.
    public var states = 400_000
    /// Edges of the automaton after empty steps are removed.
    public var edges = 2_000_000
    /// Bytes of a regular expression, a grammar or all choices together.
    public var sourceBytes = 1 << 20
    /// Groups inside groups in a regular expression, a grammar, or schemas in schemas.
    public var depth = 200
    /// Alternatives that one schema may become when `anyOf` and `allOf` are combined.
    public var alternatives = 1000
    /// Configurations kept before the caches of a constraint are dropped and rebuilt.
    public var configurations = 40_000
    /// Bytes of token masks kept per constraint.
    public var maskBytes = 32 << 20
    /// Ways to read the same text, or to go on after it, that are followed at once; more are given
    /// up.
    public var threads = 1000
    /// Bytes of the shortest text that satisfies the constraint: no answer could be longer.
    public var shortestText = 1 << 20

    /// The limits that suit requests from strangers.
    public init() {}
}
