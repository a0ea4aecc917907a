/// A value while a template runs: Python's notions, so that every operation can be equal to it.
enum JinjaValue {
    /// What an unknown name evaluates to; the name is for the message.
    case undefined(String)
    case none
    case bool(Bool)
    case integer(Int)
    case float(Double)
    case string(String)
    /// Text marked as HTML by `safe` or `escape`: `+` escapes what is added to it.
    case markup(String)
    case list(JinjaList)
    case tuple(JinjaList)
    case dict(JinjaDict)
    case range(JinjaRange)
    case view(JinjaView)
    case generator(JinjaGenerator)
    case namespace(JinjaNamespace)
    case loop(JinjaLoop)
    case macro(JinjaMacro)
    case method(JinjaMethod)
    case function(JinjaFunction)
    case cycler(JinjaCycler)
    case joiner(JinjaJoiner)
}

/// An immutable sequence that knows how deep and large the tree below it is.
final class JinjaList {
    let items: [JinjaValue]
    let extent: JinjaExtent
    /// Attribute names of the items: `groupby` makes such tuples.
    let labels: [String]

    init(_ items: [JinjaValue], labels: [String] = []) throws(JinjaFault) {
        self.items = items
        self.labels = labels
        extent = try JinjaExtent(around: items)
    }
}

/// How deep and large a container is; both are bounded so that walking one is always safe.
///
/// Shared parts count each time they occur, because a walk meets them each time.
struct JinjaExtent {
    private(set) var depth = 1
    private(set) var weight = 1

    init<S: Sequence>(around items: S) throws(JinjaFault) where S.Element == JinjaValue {
        for item in items { try include(item) }
    }

    mutating func include(_ item: JinjaValue) throws(JinjaFault) {
        weight += 1
        guard let inner = item.extent else { return }
        depth = max(depth, inner.depth + 1)
        weight += inner.weight
        guard depth <= TemplateLimits.valueDepth else {
            throw .limit(.depth, TemplateLimits.valueDepth)
        }
        guard weight <= TemplateLimits.valueWeight else {
            throw .limit(.items, TemplateLimits.valueWeight)
        }
    }
}

/// An immutable mapping in insertion order.
final class JinjaDict {
    let keys: [JinjaValue]
    let values: [JinjaValue]
    let extent: JinjaExtent
    /// Places by hash; empty while a search through the keys is cheaper.
    private let places: [JinjaKey: Int]

    init(entries: [(key: JinjaValue, value: JinjaValue)]) throws(JinjaFault) {
        var keys: [JinjaValue] = []
        var values: [JinjaValue] = []
        var places: [JinjaKey: Int] = [:]
        keys.reserveCapacity(entries.count)
        values.reserveCapacity(entries.count)
        let isSmall = entries.count <= 8
        for (key, value) in entries {
            try key.checkHashable()
            let place = isSmall ? keys.firstIndex { $0.equals(key) } : places[JinjaKey(key)]
            if let place {
                values[place] = value
            } else {
                if !isSmall { places[JinjaKey(key)] = keys.count }
                keys.append(key)
                values.append(value)
            }
        }
        self.keys = keys
        self.values = values
        self.places = places
        var extent = try JinjaExtent(around: keys)
        for value in values { try extent.include(value) }
        self.extent = extent
    }

    func value(_ key: JinjaValue) -> JinjaValue? {
        if places.isEmpty { return keys.firstIndex { $0.equals(key) }.map { values[$0] } }
        return places[JinjaKey(key)].map { values[$0] }
    }

    func value(_ name: String) -> JinjaValue? {
        guard places.isEmpty else { return places[JinjaKey(.string(name))].map { values[$0] } }
        for (place, key) in keys.enumerated() {
            if let text = key.text, sameText(text, name) { return values[place] }
        }
        return nil
    }

    var entries: [(key: JinjaValue, value: JinjaValue)] {
        zip(keys, values).map { (key: $0, value: $1) }
    }
}

/// A value that can be a key of a mapping; `1`, `1.0` and `true` are the same key.
struct JinjaKey: Hashable {
    let value: JinjaValue

    init(_ value: JinjaValue) { self.value = value }

    static func == (a: JinjaKey, b: JinjaKey) -> Bool { a.value.equals(b.value) }

    func hash(into hasher: inout Hasher) { Self.hash(value, into: &hasher) }

    private static func hash(_ value: JinjaValue, into hasher: inout Hasher) {
        switch value {
        case .bool(let flag): hasher.combine(flag ? 1 : 0)
        case .integer(let number): hasher.combine(number)
        case .float(let number):
            if let whole = Int(exactly: number) {
                hasher.combine(whole)
            } else {
                hasher.combine(number)
            }
        case .string(let text), .markup(let text):
            for byte in text.utf8 { hasher.combine(byte) }
        case .tuple(let list): for item in list.items { hash(item, into: &hasher) }
        default: break
        }
    }
}

extension JinjaValue {
    /// Python's name of the type.
    var typeName: String {
        switch self {
        case .undefined: "Undefined"
        case .none: "None"
        case .bool: "bool"
        case .integer: "int"
        case .float: "float"
        case .string: "str"
        case .markup: "Markup"
        case .list: "list"
        case .tuple: "tuple"
        case .dict: "dict"
        case .range: "range"
        case .view(let view): view.kind.rawValue
        case .generator: "generator"
        case .namespace: "Namespace"
        case .loop: "LoopContext"
        case .macro: "Macro"
        case .method: "method"
        case .function: "function"
        case .cycler: "Cycler"
        case .joiner: "Joiner"
        }
    }

    /// The text of a string, marked or not.
    var text: String? {
        switch self {
        case .string(let text), .markup(let text): text
        default: nil
        }
    }

    /// Size of a container; namespaces and macros end the walk, since they are mutable.
    var extent: JinjaExtent? {
        switch self {
        case .list(let list), .tuple(let list): list.extent
        case .dict(let dict): dict.extent
        case .view(let view): view.dict.extent
        case .generator(let generator): generator.extent
        case .cycler(let cycler): cycler.list.extent
        case .joiner(let joiner): joiner.list.extent
        case .loop(let loop): loop.extent
        case .method(let method): method.receiver.extent
        default: nil
        }
    }

    var isUndefined: Bool {
        if case .undefined = self { return true }
        return false
    }

    var isTrue: Bool {
        switch self {
        case .undefined, .none: false
        case .bool(let value): value
        case .integer(let value): value != 0
        case .float(let value): value != 0
        case .string(let text), .markup(let text): !text.isEmpty
        case .list(let list), .tuple(let list): !list.items.isEmpty
        case .dict(let dict): !dict.keys.isEmpty
        case .range(let range): range.count > 0
        case .view(let view): !view.dict.keys.isEmpty
        case .loop(let loop): loop.items.count > 0
        default: true
        }
    }

    func checkHashable() throws(JinjaFault) {
        switch self {
        case .list, .dict: throw .wrong("a \(typeName) cannot be a key; use a string or tuple")
        case .tuple(let list): for item in list.items { try item.checkHashable() }
        default: break
        }
    }

    /// Whole numbers and truth values as an integer.
    var index: Int? {
        switch self {
        case .integer(let value): value
        case .bool(let value): value ? 1 : 0
        default: nil
        }
    }

    var number: Double? {
        switch self {
        case .float(let value): value
        default: index.map(Double.init)
        }
    }
}

// MARK: - Comparison

extension JinjaValue {
    /// Python's `==`, which never fails.
    func equals(_ other: JinjaValue) -> Bool {
        switch (self, other) {
        case (.string(let a), .string(let b)), (.string(let a), .markup(let b)),
            (.markup(let a), .string(let b)), (.markup(let a), .markup(let b)):
            return sameText(a, b)
        case (.none, .none), (.undefined, .undefined): return true
        case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)):
            return a === b
                || a.items.count == b.items.count
                    && zip(a.items, b.items).allSatisfy { $0.equals($1) }
        case (.dict(let a), .dict(let b)):
            guard a !== b else { return true }
            guard a.keys.count == b.keys.count else { return false }
            return zip(a.keys, a.values).allSatisfy { b.value($0)?.equals($1) ?? false }
        case (.range(let a), .range(let b)):
            return a.count == b.count
                && (a.count == 0 || a.start == b.start && (a.count == 1 || a.step == b.step))
        case (.namespace(let a), .namespace(let b)): return a === b
        case (.loop(let a), .loop(let b)): return a === b
        case (.macro(let a), .macro(let b)): return a === b
        case (.generator(let a), .generator(let b)): return a === b
        case (.cycler(let a), .cycler(let b)): return a === b
        case (.joiner(let a), .joiner(let b)): return a === b
        case (.function(let a), .function(let b)): return a == b
        case (.method(let a), .method(let b)): return a === b
        default:
            if let a = index, let b = other.index { return a == b }
            if let a = number, let b = other.number { return a == b }
            return false
        }
    }

    /// Python's `<`, for values that have an order.
    func isLess(than other: JinjaValue) throws(JinjaFault) -> Bool {
        if let a = text, let b = other.text { return a.utf8.lexicographicallyPrecedes(b.utf8) }
        if let a = index, let b = other.index { return a < b }
        if let a = number, let b = other.number { return a < b }
        switch (self, other) {
        case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)):
            for (x, y) in zip(a.items, b.items) where !x.equals(y) { return try x.isLess(than: y) }
            return a.items.count < b.items.count
        case (.undefined(let name), _), (_, .undefined(let name)): throw .undefined(name)
        default:
            throw .wrong("'<' is not defined between \(typeName) and \(other.typeName)")
        }
    }

    /// Python's `<=`, which is not the negation of `>` for NaN.
    func isAtMost(_ other: JinjaValue) throws(JinjaFault) -> Bool {
        if text == nil, let a = number, let b = other.number { return a <= b }
        switch (self, other) {
        case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)):
            for (x, y) in zip(a.items, b.items) where !x.equals(y) { return try x.isAtMost(y) }
            return a.items.count <= b.items.count
        default: return !(try other.isLess(than: self))
        }
    }
}

// MARK: - From the caller's values

extension JinjaValue {
    init(_ value: TemplateValue, depth: Int = 0) throws(JinjaFault) {
        guard depth < TemplateLimits.valueDepth else {
            throw .limit(.depth, TemplateLimits.valueDepth)
        }
        switch value {
        case .none: self = .none
        case .bool(let flag): self = .bool(flag)
        case .integer(let number): self = .integer(number)
        case .float(let number): self = .float(number)
        case .string(let text): self = .string(text)
        case .array(let values):
            var items: [JinjaValue] = []
            items.reserveCapacity(values.count)
            for value in values { items.append(try JinjaValue(value, depth: depth + 1)) }
            self = .list(try JinjaList(items))
        case .object(let object):
            var entries: [(key: JinjaValue, value: JinjaValue)] = []
            entries.reserveCapacity(object.entries.count)
            for (key, value) in object.entries {
                entries.append((.string(key), try JinjaValue(value, depth: depth + 1)))
            }
            self = .dict(try JinjaDict(entries: entries))
        }
    }
}
