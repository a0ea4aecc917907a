/// A template that cannot be parsed, or cannot be rendered with the values given.
///
/// Lines and columns count from 1; columns count Unicode scalars.
public enum TemplateError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The text is not a template.
    case syntax(template: String, line: Int, column: Int, found: String, expected: String)
    /// An operation needs a value that was not given.
    case undefinedName(template: String, line: Int, name: String)
    /// No filter has this name; `nearest` holds the closest ones.
    case unknownFilter(template: String, line: Int, name: String, nearest: [String])
    /// No test has this name; `nearest` holds the closest ones.
    case unknownTest(template: String, line: Int, name: String, nearest: [String])
    /// The template itself refused its input with `raise_exception`.
    case raised(template: String, line: Int, message: String)
    /// An operation was applied to values it is not defined for.
    case wrongType(template: String, line: Int, message: String)
    /// The template asked for more than `TemplateLimits` allows.
    case limit(template: String, line: Int, what: TemplateLimits.Kind, allowed: Int)
    /// A `{% generation %}` block lies in a macro or captured text, so its place is unknown.
    case untraceableGeneration(template: String, line: Int)

    /// Where, what was found, what was expected and what to try.
    public var description: String {
        switch self {
        case .syntax(let template, let line, let column, let found, let expected):
            "\(template):\(line):\(column): found \(found), expected \(expected)"
        case .undefinedName(let template, let line, let name):
            "\(template):\(line): '\(name)' is undefined; pass it as a variable or in the message"
        case .unknownFilter(let template, let line, let name, let nearest):
            "\(template):\(line): no filter '\(name)'; nearest: \(nearest.joined(separator: ", "))"
        case .unknownTest(let template, let line, let name, let nearest):
            "\(template):\(line): no test '\(name)'; nearest: \(nearest.joined(separator: ", "))"
        case .raised(let template, let line, let message):
            "\(template):\(line): the template refuses: \(message)"
        case .wrongType(let template, let line, let message):
            "\(template):\(line): \(message)"
        case .limit(let template, let line, let what, let allowed):
            "\(template):\(line): more than \(allowed) \(what.rawValue); raise TemplateLimits if the template is trusted"
        case .untraceableGeneration(let template, let line):
            "\(template):\(line): generation block inside a macro, captured text or another"
                + " generation block; move it to the top level"
        }
    }
}

/// What a template may consume before it is stopped.
public struct TemplateLimits: Sendable, Hashable {
    /// What ran out.
    public enum Kind: String, Sendable, Hashable {
        /// Evaluated nodes, loop turns and produced data.
        case steps
        /// Bytes of one text, the output included.
        case bytes = "bytes of text"
        /// Items of one sequence.
        case items = "items in a sequence"
        /// Levels of macro calls or containers in containers.
        case depth = "levels of nesting"
        /// Values of a 64-bit integer.
        case integers = "(the largest integer)"
    }

    /// Evaluated nodes, loop turns and eighths of produced bytes.
    public var steps = 50_000_000
    /// Bytes of one text, the output included.
    public var bytes = 64 << 20
    /// Items of one sequence that an operation creates.
    public var items = 1_000_000
    /// Macro calls within macro calls.
    public var macroDepth = 128

    /// Creates the default limits: ample for a conversation of a million tokens.
    public init() {}

    /// The longest `range()`, as in the sandbox of the reference implementation.
    static let range = 100_000
    /// Levels of brackets, blocks and chained filters in the source.
    static let sourceDepth = 100
    /// Filters, tests, calls and subscripts in one chain.
    static let sourceLinks = 64
    /// Levels of containers in containers.
    static let valueDepth = 200
    /// Leaves of one container, shared parts counted each time they occur.
    static let valueWeight = 8_000_000
    /// Stack bytes that parsing or rendering may use.
    static let stackBytes = 400 << 10
}

/// A failure before the place in the template is attached.
enum JinjaFault: Error {
    case undefined(String)
    case raised(String)
    case wrong(String)
    case limit(TemplateLimits.Kind, Int)
    case unknownFilter(String)
    case unknownTest(String)

    func at(template: String, line: Int) -> TemplateError {
        switch self {
        case .undefined(let name): .undefinedName(template: template, line: line, name: name)
        case .raised(let message): .raised(template: template, line: line, message: message)
        case .wrong(let message): .wrongType(template: template, line: line, message: message)
        case .limit(let what, let allowed):
            .limit(template: template, line: line, what: what, allowed: allowed)
        case .unknownFilter(let name):
            .unknownFilter(
                template: template, line: line, name: name,
                nearest: nearestNames(to: name, in: JinjaFilter.allCases.map(\.rawValue)))
        case .unknownTest(let name):
            .unknownTest(
                template: template, line: line, name: name,
                nearest: nearestNames(to: name, in: JinjaTest.allCases.map(\.rawValue)))
        }
    }
}

/// The three names with the smallest edit distance.
private func nearestNames(to name: String, in names: [String]) -> [String] {
    // A hostile name may be long; its first bytes decide.
    let wanted = Array(name.utf8.prefix(32))
    let ranked = names.map { (distance: editDistance(wanted, Array($0.utf8)), name: $0) }
    return ranked.sorted { ($0.distance, $0.name) < ($1.distance, $1.name) }.prefix(3).map(\.name)
}

private func editDistance(_ a: [UInt8], _ b: [UInt8]) -> Int {
    var row = Array(0...b.count)
    for i in a.indices {
        var diagonal = row[0]
        row[0] = i + 1
        for j in b.indices {
            let substituted = diagonal + (a[i] == b[j] ? 0 : 1)
            diagonal = row[j + 1]
            row[j + 1] = min(substituted, row[j] + 1, row[j + 1] + 1)
        }
    }
    return row[b.count]
}

/// An address near the top of the stack: the difference of two is the stack between them.
@inline(__always)
func stackAddress() -> Int {
    var marker: UInt8 = 0
    return withUnsafeMutablePointer(to: &marker) { Int(bitPattern: $0) }
}
