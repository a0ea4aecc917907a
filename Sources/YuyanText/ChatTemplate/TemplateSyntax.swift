/// An expression. Chains of one precedence are flat, so that long ones do not nest.
indirect enum TemplateExpression: Sendable {
    case none
    case bool(Bool)
    case integer(Int)
    case float(Double)
    case string(String)
    /// A name by its number in `TemplateTree.names`.
    case name(Int)
    case list([TemplateExpression])
    case tuple([TemplateExpression])
    case dict([(key: TemplateExpression, value: TemplateExpression)])
    case arithmetic(TemplateExpression, [(operation: Arithmetic, operand: TemplateExpression)])
    case concatenation([TemplateExpression])
    case comparison(TemplateExpression, [(operation: Comparison, operand: TemplateExpression)])
    case and([TemplateExpression])
    case or([TemplateExpression])
    case not(TemplateExpression)
    case negated(TemplateExpression)
    case positive(TemplateExpression)
    case conditional(
        test: TemplateExpression, then: TemplateExpression, otherwise: TemplateExpression?)
    case attribute(TemplateExpression, String)
    case subscripted(TemplateExpression, TemplateExpression)
    case slice(
        TemplateExpression, start: TemplateExpression?, stop: TemplateExpression?,
        step: TemplateExpression?)
    case call(TemplateExpression, TemplateArguments)
    case filter(TemplateExpression, TemplateFilter)
    case test(TemplateExpression, TemplateTest)

    enum Arithmetic: Sendable { case add, subtract, multiply, divide, floorDivide, modulo, power }
    enum Comparison: Sendable {
        case equal, notEqual, less, lessEqual, greater, greaterEqual, isIn, isNotIn
    }
}

/// The arguments of a call as written.
struct TemplateArguments: Sendable {
    var positional: [TemplateExpression] = []
    var keyword: [(name: String, value: TemplateExpression)] = []
    var unpacked: TemplateExpression?
    var unpackedKeywords: TemplateExpression?
}

struct TemplateFilter: Sendable {
    let name: String
    /// Nil if no filter has that name: an error only when it is reached.
    let filter: JinjaFilter?
    let arguments: TemplateArguments
    let line: Int
}

struct TemplateTest: Sendable {
    let name: String
    let test: JinjaTest?
    let arguments: TemplateArguments
    let line: Int
}

/// What can stand left of `=` or between `for` and `in`.
indirect enum TemplateTarget: Sendable {
    case name(Int)
    case member(Int, String)
    case tuple([TemplateTarget])
}

enum TemplateStatement: Sendable {
    case text(String)
    case output(TemplateExpression, line: Int)
    case loop(TemplateLoop)
    case branch([(test: TemplateExpression, body: [TemplateStatement])], [TemplateStatement], Int)
    case set(TemplateTarget, TemplateExpression, line: Int)
    case capture(TemplateTarget, [TemplateFilter], [TemplateStatement], line: Int)
    case macro(TemplateMacro)
    case callBlock(TemplateMacro, TemplateExpression, TemplateArguments)
    case filterBlock([TemplateFilter], [TemplateStatement])
    case with([(target: TemplateTarget, value: TemplateExpression)], [TemplateStatement], Int)
    case scope([TemplateStatement])
    /// A named block: sees only the template's top level.
    case block([TemplateStatement])
    case generation([TemplateStatement], line: Int)
    case leaveLoop
    case nextTurn
}

final class TemplateLoop: Sendable {
    let target: TemplateTarget
    let sequence: TemplateExpression
    let condition: TemplateExpression?
    let isRecursive: Bool
    /// Whether the body mentions `loop`.
    let needsContext: Bool
    let body: [TemplateStatement]
    let otherwise: [TemplateStatement]
    let line: Int

    init(
        target: TemplateTarget, sequence: TemplateExpression, condition: TemplateExpression?,
        isRecursive: Bool, needsContext: Bool, body: [TemplateStatement],
        otherwise: [TemplateStatement], line: Int
    ) {
        self.target = target
        self.sequence = sequence
        self.condition = condition
        self.isRecursive = isRecursive
        self.needsContext = needsContext
        self.body = body
        self.otherwise = otherwise
        self.line = line
    }
}

final class TemplateMacro: Sendable {
    /// Nil for the body of a call block.
    let name: Int?
    let parameters: [(name: Int, text: String, standard: TemplateExpression?)]
    let body: [TemplateStatement]
    /// Which of the implicit parameters the body mentions.
    let uses: Implicit
    let line: Int

    struct Implicit: OptionSet, Sendable {
        let rawValue: Int
        static let caller = Implicit(rawValue: 1)
        static let varargs = Implicit(rawValue: 2)
        static let kwargs = Implicit(rawValue: 4)
    }

    init(
        name: Int?, parameters: [(name: Int, text: String, standard: TemplateExpression?)],
        body: [TemplateStatement], uses: Implicit, line: Int
    ) {
        self.name = name
        self.parameters = parameters
        self.body = body
        self.uses = uses
        self.line = line
    }
}

/// A parsed template.
struct TemplateTree: Sendable {
    let body: [TemplateStatement]
    /// Every name that is read or written; the tree holds indices into this list.
    let names: [String]

    /// Names with a fixed number, because the interpreter itself sets them.
    static let fixedNames = ["loop", "caller", "varargs", "kwargs"]
    static let loop = 0
    static let caller = 1
    static let varargs = 2
    static let kwargs = 3
}
