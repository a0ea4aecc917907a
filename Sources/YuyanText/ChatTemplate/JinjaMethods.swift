extension JinjaInterpreter {
    private static let textMethods: Set<String> = [
        "capitalize", "casefold", "center", "count", "endswith", "expandtabs", "find", "format",
        "index", "isalnum", "isalpha", "isascii", "isdecimal", "isdigit", "islower", "isnumeric",
        "isprintable", "isspace", "istitle", "isupper", "join", "ljust", "lower", "lstrip",
        "partition", "removeprefix", "removesuffix", "replace", "rfind", "rindex", "rjust",
        "rpartition", "rsplit", "rstrip", "split", "splitlines", "startswith", "strip", "swapcase",
        "title", "upper", "zfill",
    ]
    /// Methods that exist but would change their receiver, which the sandbox forbids.
    private static let mutatingDictMethods: Set<String> = [
        "clear", "pop", "popitem", "setdefault", "update",
    ]

    /// Whether `receiver.name` is a method, so that a call needs no value for it.
    func hasMethod(_ receiver: JinjaValue, _ name: String) -> Bool {
        switch receiver {
        case .string, .markup: Self.textMethods.contains(name)
        case .dict:
            switch name {
            case "get", "items", "keys", "values", "copy", "fromkeys": true
            default: false
            }
        case .list: name == "index" || name == "count" || name == "copy"
        case .tuple: name == "index" || name == "count"
        case .range: name == "index" || name == "count"
        case .integer, .bool: name == "bit_length" || name == "conjugate"
        case .float: name == "is_integer" || name == "conjugate"
        case .loop: JinjaLoop.methods.contains(name)
        case .cycler: name == "next" || name == "reset"
        case .function(.dict): name == "fromkeys"
        default: false
        }
    }

    /// `value.name`: attributes first, then items, otherwise undefined.
    func attribute(_ name: String, of value: JinjaValue) throws(JinjaFault) -> JinjaValue {
        if case .undefined(let missing) = value { throw .undefined(missing) }
        if let found = member(name, of: value) { return found }
        if case .dict(let dict) = value, let found = dict.value(name) { return found }
        return .undefined(name)
    }

    /// `value[index]`: items first, then attributes if the index is a text.
    func item(_ index: JinjaValue, of value: JinjaValue) throws(JinjaFault) -> JinjaValue {
        switch value {
        case .undefined(let missing): throw .undefined(missing)
        case .dict(let dict):
            try? index.checkHashable()
            if let found = dict.value(index) { return found }
        case .list(let list), .tuple(let list):
            if let place = place(index, list.items.count) { return list.items[place] }
        case .range(let range):
            if let place = place(index, range.count) { return range[place] }
        case .string(let text), .markup(let text):
            if index.index != nil {
                charge(walking: text)
                let scalars = text.unicodeScalars
                if let place = place(index, scalars.count) {
                    return .string(
                        String(scalars[scalars.index(scalars.startIndex, offsetBy: place)]))
                }
            }
        default: break
        }
        if let name = index.text { return member(name, of: value) ?? .undefined(name) }
        return .undefined(
            "item \((try? index.representation(limit: 100)) ?? "") of a \(value.typeName)")
    }

    private func place(_ index: JinjaValue, _ count: Int) -> Int? {
        guard let index = index.index, index < count, index >= -count else { return nil }
        return index < 0 ? index + count : index
    }

    /// The `attr` filter, which never looks at items.
    func staticAttribute(_ name: String, of value: JinjaValue) -> JinjaValue {
        member(name, of: value) ?? .undefined(name)
    }

    /// A method or property, or undefined for those the sandbox hides; nil if there is none.
    private func member(_ name: String, of value: JinjaValue) -> JinjaValue? {
        if hasMethod(value, name) { return .method(JinjaMethod(value, name)) }
        switch value {
        case .namespace(let namespace): return namespace[name]
        case .loop(let loop): return loop.attribute(name)
        case .cycler(let cycler):
            switch name {
            case "current": return cycler.list.items[cycler.position]
            case "items": return .tuple(cycler.list)
            case "pos": return .integer(cycler.position)
            default: return nil
            }
        case .joiner(let joiner):
            return name == "sep"
                ? joiner.list.items[0] : name == "used" ? .bool(joiner.isUsed) : nil
        case .tuple(let list):
            return list.labels.firstIndex(of: name).map { list.items[$0] }
        case .dict: return Self.mutatingDictMethods.contains(name) ? .undefined(name) : nil
        case .range(let range):
            switch name {
            case "start": return .integer(range.start)
            case "step": return .integer(range.step)
            case "stop": return .integer(range.start + range.count * range.step)
            default: return nil
            }
        case .integer, .bool:
            switch name {
            case "real", "numerator": return .integer(value.index ?? 0)
            case "imag": return .integer(0)
            case "denominator": return .integer(1)
            default: return nil
            }
        case .float: return name == "real" ? value : name == "imag" ? .float(0) : nil
        case .macro(let macro):
            switch name {
            case "name":
                return macro.definition.name.map { .string(tree.names[$0]) } ?? JinjaValue.none
            case "caller": return .bool(macro.definition.uses.contains(.caller))
            case "catch_kwargs": return .bool(macro.definition.uses.contains(.kwargs))
            case "catch_varargs": return .bool(macro.definition.uses.contains(.varargs))
            case "arguments":
                let names = macro.definition.parameters.map { JinjaValue.string($0.text) }
                return (try? JinjaList(names)).map { .tuple($0) }
            default: return nil
            }
        default: return nil
        }
    }

    func callMethod(
        _ name: String, of receiver: JinjaValue, _ arguments: JinjaArguments
    ) throws(JinjaFault) -> JinjaValue {
        try step()
        charge(walking: receiver)
        switch receiver {
        case .string(let text), .markup(let text): return try callText(name, text, arguments)
        case .dict(let dict): return try callDict(name, dict, arguments)
        case .list(let list):
            if name == "copy" { return receiver }
            return try find(name, list.items, arguments)
        case .tuple(let list): return try find(name, list.items, arguments)
        case .range: return try find(name, try items(of: receiver), arguments)
        case .function:
            let bound = try arguments.bound(to: ["", ""], required: 1, function: name)
            return try fromKeys(bound)
        case .loop(let loop):
            guard arguments.keyword.isEmpty else { throw .wrong("\(name)() takes no keywords") }
            if name == "cycle" { return try loop.cycle(arguments.positional) }
            loops.append(loop)
            return .bool(loop.changed(arguments.positional))
        case .cycler(let cycler):
            let current = cycler.list.items[cycler.position]
            cycler.position = name == "reset" ? 0 : (cycler.position + 1) % cycler.list.items.count
            return name == "reset" ? .none : current
        case .float(let number):
            return name == "is_integer" ? .bool(number == number.rounded()) : receiver
        default:
            guard name == "bit_length", let number = receiver.index else { return receiver }
            return .integer(Int.bitWidth - number.magnitude.leadingZeroBitCount)
        }
    }

    private func find(
        _ name: String, _ items: [JinjaValue], _ arguments: JinjaArguments
    ) throws(JinjaFault) -> JinjaValue {
        let bound = try arguments.bound(to: ["", "", ""], required: 1, function: name)
        let wanted = bound[0] ?? .none
        if name == "count" { return .integer(items.count { $0.equals(wanted) }) }
        let places = sliceIndices(items.count, bound[1]?.index, bound[2]?.index, 1)
        guard let place = places.first(where: { items[$0].equals(wanted) }) else {
            throw .wrong("index() did not find the value in the sequence")
        }
        return .integer(place)
    }

    private func callDict(
        _ name: String, _ dict: JinjaDict, _ arguments: JinjaArguments
    ) throws(JinjaFault) -> JinjaValue {
        switch name {
        case "get":
            let bound = try arguments.bound(to: ["", ""], required: 1, function: "get")
            let key = bound[0] ?? .none
            try key.checkHashable()
            return dict.value(key) ?? bound[1] ?? .none
        case "fromkeys":
            return try fromKeys(try arguments.bound(to: ["", ""], required: 1, function: name))
        default:
            _ = try arguments.bound(to: [], function: name)
            switch name {
            case "items": return .view(JinjaView(dict: dict, kind: .items))
            case "keys": return .view(JinjaView(dict: dict, kind: .keys))
            case "values": return .view(JinjaView(dict: dict, kind: .values))
            default: return .dict(dict)
            }
        }
    }

    private func fromKeys(_ bound: [JinjaValue?]) throws(JinjaFault) -> JinjaValue {
        let keys = try items(of: bound[0] ?? .none)
        return .dict(try JinjaDict(entries: keys.map { (key: $0, value: bound[1] ?? .none) }))
    }
}
