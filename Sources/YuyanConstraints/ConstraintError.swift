/// Why a constraint cannot be compiled; each message names the place, the finding and the way out.
public enum ConstraintError: Error, Hashable, Sendable, CustomStringConvertible {
    /// A schema says something that is wrong or that masks cannot enforce.
    case schema(pointer: String, found: String, supported: String)
    /// A regular expression is wrong or uses what is no regular language; counts code points.
    case regex(offset: Int, found: String, supported: String)
    /// A GBNF grammar is wrong; lines and columns count from 1.
    case grammar(line: Int, column: Int, found: String, supported: String)
    /// A rule begins with itself, so that reading it would never end.
    case leftRecursion(rule: String)
    /// No text at all satisfies the constraint.
    case unsatisfiable(place: String)
    /// The constraint needs more than a limit allows.
    case tooLarge(place: String, what: String, limit: Int)
    /// The constraint leaves nothing to choose from.
    case empty(place: String)

    /// The place, what was found there, and what would be accepted.
    public var description: String {
        switch self {
        case .schema(let pointer, let found, let supported):
            "JSON schema at \(pointer): found \(found); supported: \(supported)"
        case .regex(let offset, let found, let supported):
            "regular expression at offset \(offset): found \(found); supported: \(supported)"
        case .grammar(let line, let column, let found, let supported):
            "grammar at line \(line), column \(column): found \(found); supported: \(supported)"
        case .leftRecursion(let rule):
            "grammar: rule '\(rule)' begins with itself; write it with the recursion at the end"
        case .unsatisfiable(let place):
            "\(place): no finite text satisfies it; do its parts contradict or contain each other?"
        case .tooLarge(let place, let what, let limit):
            "\(place): more than \(limit) \(what); make it smaller"
        case .empty(let place):
            "\(place): there is nothing to choose from; give at least one"
        }
    }
}
