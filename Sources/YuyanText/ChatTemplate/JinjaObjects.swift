/// `range(start, stop, step)`.
struct JinjaRange {
    let start: Int
    let step: Int
    let count: Int

    subscript(index: Int) -> JinjaValue { .integer(start + index * step) }
}

/// What `keys()`, `values()` and `items()` give.
struct JinjaView {
    enum Kind: String {
        case keys = "dict_keys"
        case values = "dict_values"
        case items = "dict_items"
    }
    let dict: JinjaDict
    let kind: Kind

    func items() throws(JinjaFault) -> [JinjaValue] {
        switch kind {
        case .keys: return dict.keys
        case .values: return dict.values
        case .items:
            var pairs: [JinjaValue] = []
            pairs.reserveCapacity(dict.keys.count)
            for (key, value) in zip(dict.keys, dict.values) {
                pairs.append(.tuple(try JinjaList([key, value])))
            }
            return pairs
        }
    }
}

/// A sequence that can be walked once, as filters such as `map` give.
///
/// It is computed when it is made; a failure is kept until somebody asks for the items.
final class JinjaGenerator {
    private var items: [JinjaValue]
    private var position = 0
    private let failure: JinjaFault?
    let extent: JinjaExtent

    init(_ items: [JinjaValue], failure: JinjaFault? = nil) throws(JinjaFault) {
        self.items = items
        self.failure = failure
        extent = try JinjaExtent(around: items)
    }

    func next() throws(JinjaFault) -> JinjaValue? {
        guard position < items.count else {
            if let failure { throw failure }
            return nil
        }
        position += 1
        return items[position - 1]
    }

    func rest() throws(JinjaFault) -> [JinjaValue] {
        if let failure { throw failure }
        let rest = Array(items[position...])
        position = items.count
        return rest
    }
}

/// The one mutable value a template can make.
final class JinjaNamespace {
    private(set) var entries: [(name: String, value: JinjaValue)] = []

    subscript(name: String) -> JinjaValue? {
        entries.first { sameText($0.name, name) }?.value
    }

    func set(_ name: String, to value: JinjaValue) throws(JinjaFault) {
        guard !name.utf8.starts(with: "_".utf8) else {
            throw .wrong("a namespace cannot hold '\(name)': names must not begin with '_'")
        }
        if let place = entries.firstIndex(where: { sameText($0.name, name) }) {
            entries[place].value = value
        } else {
            guard entries.count < 10_000 else { throw .limit(.items, 10_000) }
            entries.append((name, value))
        }
    }

    func removeAll() { entries = [] }
}

/// The names of one block; blocks inside it look outwards.
final class JinjaScope {
    private var numbers: [Int] = []
    private var values: [JinjaValue] = []
    let parent: JinjaScope?
    /// Whether a macro or recursive loop refers to this scope.
    var isKept = false

    init(parent: JinjaScope?) { self.parent = parent }

    func value(_ number: Int) -> JinjaValue? {
        var scope: JinjaScope? = self
        while let here = scope {
            if let place = here.numbers.lastIndex(of: number) { return here.values[place] }
            scope = here.parent
        }
        return nil
    }

    func set(_ number: Int, to value: JinjaValue) {
        if let place = numbers.lastIndex(of: number) {
            values[place] = value
        } else {
            numbers.append(number)
            values.append(value)
        }
    }

    func removeAll() {
        numbers.removeAll(keepingCapacity: true)
        values.removeAll(keepingCapacity: true)
    }
}

/// A macro together with the names it can see.
final class JinjaMacro {
    let definition: TemplateMacro
    let scope: JinjaScope

    init(_ definition: TemplateMacro, in scope: JinjaScope) {
        self.definition = definition
        self.scope = scope
    }
}

/// A method read but not called, such as `text.strip`.
final class JinjaMethod {
    let receiver: JinjaValue
    let name: String

    init(_ receiver: JinjaValue, _ name: String) {
        self.receiver = receiver
        self.name = name
    }
}

/// What exists without being defined.
enum JinjaFunction: String, CaseIterable {
    case range
    case dict
    case namespace
    case cycler
    case joiner
    case raiseException = "raise_exception"
    case currentTime = "strftime_now"
}

final class JinjaCycler {
    let list: JinjaList
    var position = 0

    init(_ list: JinjaList) { self.list = list }
}

final class JinjaJoiner {
    let list: JinjaList
    var isUsed = false

    init(separator: JinjaValue) throws(JinjaFault) { list = try JinjaList([separator]) }
}

/// The variable `loop`.
final class JinjaLoop {
    let items: [JinjaValue]
    let extent: JinjaExtent
    var position = 0
    let depth: Int
    /// Set when the loop may call itself.
    let definition: TemplateLoop
    let scope: JinjaScope
    private var lastChanged: [JinjaValue]?

    init(
        _ items: [JinjaValue], depth: Int, definition: TemplateLoop, scope: JinjaScope
    ) throws(JinjaFault) {
        self.items = items
        self.depth = depth
        self.definition = definition
        self.scope = scope
        extent = try JinjaExtent(around: items)
    }

    func forget() { lastChanged = nil }

    static let methods = ["cycle", "changed"]

    func attribute(_ name: String) -> JinjaValue? {
        switch name {
        case "index": .integer(position + 1)
        case "index0": .integer(position)
        case "first": .bool(position == 0)
        case "last": .bool(position + 1 >= items.count)
        case "length": .integer(items.count)
        case "revindex": .integer(items.count - position)
        case "revindex0": .integer(items.count - position - 1)
        case "depth": .integer(depth + 1)
        case "depth0": .integer(depth)
        case "previtem":
            position > 0 && position <= items.count
                ? items[position - 1] : .undefined("loop.previtem")
        case "nextitem":
            position + 1 < items.count ? items[position + 1] : .undefined("loop.nextitem")
        default: nil
        }
    }

    func cycle(_ values: [JinjaValue]) throws(JinjaFault) -> JinjaValue {
        guard !values.isEmpty else { throw .wrong("loop.cycle() needs at least one value") }
        return values[position % values.count]
    }

    func changed(_ values: [JinjaValue]) -> Bool {
        if let last = lastChanged, last.count == values.count,
            zip(last, values).allSatisfy({ $0.equals($1) })
        {
            return false
        }
        lastChanged = values
        return true
    }
}
