extension JinjaInterpreter {
    func applyToSequence(
        _ filter: JinjaFilter, _ value: JinjaValue, _ arguments: JinjaArguments
    ) throws(JinjaFault) -> JinjaValue {
        func bound(_ names: String..., required: Int = 0) throws(JinjaFault) -> [JinjaValue?] {
            try arguments.bound(to: names, required: required, function: filter.rawValue)
        }
        switch filter {
        case .items:
            _ = try bound()
            switch value {
            case .undefined: return .generator(try JinjaGenerator([]))
            case .dict(let dict):
                let view = JinjaView(dict: dict, kind: .items)
                return .generator(try JinjaGenerator(try view.items()))
            default:
                return .generator(
                    try JinjaGenerator(
                        [], failure: .wrong("items needs a dict, not \(value.typeName)")))
            }
        case .join:
            let bound = try bound("d", "attribute")
            return .string(try join(value, with: bound[0] ?? .string(""), attribute: bound[1]))
        case .reverse: return try reversed(value)
        case .sort:
            let bound = try bound("reverse", "case_sensitive", "attribute")
            let ignoresCase = !(bound[1]?.isTrue ?? false)
            let paths = attributePaths(bound[2])
            let sorted = try sort(try items(of: value), isReversed: bound[0]?.isTrue ?? false) {
                item throws(JinjaFault) in
                var keys: [JinjaValue] = []
                for path in paths {
                    keys.append(self.folded(try self.follow(path, from: item), ignoresCase))
                }
                return .list(try JinjaList(keys))
            }
            return .list(try JinjaList(sorted))
        case .dictsort:
            let bound = try bound("case_sensitive", "by", "reverse")
            return try dictSorted(value, bound[0], bound[1], bound[2])
        case .groupby:
            let bound = try bound("attribute", "default", "case_sensitive", required: 1)
            return try grouped(value, bound[0], bound[1], ignoresCase: !(bound[2]?.isTrue ?? false))
        case .unique:
            let bound = try bound("case_sensitive", "attribute")
            return try generator { () throws(JinjaFault) in
                try self.unique(value, bound[1], ignoresCase: !(bound[0]?.isTrue ?? false))
            }
        case .min, .max:
            let bound = try bound("case_sensitive", "attribute")
            return try extreme(
                value, bound[1], ignoresCase: !(bound[0]?.isTrue ?? false), isMax: filter == .max)
        case .sum:
            let bound = try bound("attribute", "start")
            return try sum(value, bound[0], start: bound[1] ?? .integer(0))
        case .batch:
            let bound = try bound("linecount", "fill_with", required: 1)
            return try batched(value, bound[0], fill: bound[1])
        case .slice:
            let bound = try bound("slices", "fill_with", required: 1)
            return try sliced(value, bound[0], fill: bound[1])
        case .map:
            return try generator { () throws(JinjaFault) in try self.mapped(value, arguments) }
        default:
            let keeps = filter == .select || filter == .selectattr
            let byAttribute = filter == .selectattr || filter == .rejectattr
            return try generator { () throws(JinjaFault) in
                try self.selected(value, arguments, keeps: keeps, byAttribute: byAttribute)
            }
        }
    }

    /// Wraps what a lazy filter gives; a failure waits until the items are wanted.
    private func generator(
        _ make: () throws(JinjaFault) -> [JinjaValue]
    ) throws(JinjaFault) -> JinjaValue {
        do throws(JinjaFault) {
            return .generator(try JinjaGenerator(try make()))
        } catch {
            if case .limit = error { throw error }
            return .generator(try JinjaGenerator([], failure: error))
        }
    }

    // MARK: Attributes

    /// The parts of `"a.b.0"`; numbers index sequences.
    func attributePath(_ attribute: JinjaValue?) -> [JinjaValue] {
        switch attribute {
        case nil, .some(.none): return []
        case .some(let attribute):
            guard let text = attribute.text else { return [attribute] }
            return text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
                .map { part in
                    let isNumber =
                        !part.isEmpty
                        && part.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
                    let text = String(Substring(part))
                    if isNumber, let index = Int(text) { return .integer(index) }
                    return .string(text)
                }
        }
    }

    private func attributePaths(_ attribute: JinjaValue?) -> [[JinjaValue]] {
        guard let text = attribute?.text else { return [attributePath(attribute)] }
        return text.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
            .map { attributePath(.string(String(Substring($0)))) }
    }

    func follow(
        _ path: [JinjaValue], from start: JinjaValue, standard: JinjaValue? = nil
    ) throws(JinjaFault) -> JinjaValue {
        var value = start
        for part in path {
            try step()
            value = try item(part, of: value)
            if value.isUndefined, let standard { value = standard }
        }
        return value
    }

    private func folded(_ value: JinjaValue, _ ignoresCase: Bool) -> JinjaValue {
        guard ignoresCase, let text = value.text else { return value }
        charge(walking: text)
        return .string(text.lowercased())
    }

    // MARK: Selection

    private func mapped(
        _ value: JinjaValue, _ arguments: JinjaArguments
    ) throws(JinjaFault) -> [JinjaValue] {
        guard value.isTrue else { return [] }
        var results: [JinjaValue] = []
        if arguments.positional.isEmpty,
            arguments.keyword.contains(where: { $0.name == "attribute" })
        {
            let bound = try JinjaArguments(keyword: arguments.keyword)
                .bound(to: ["attribute", "default"], function: "map")
            let path = attributePath(bound[0])
            let standard: JinjaValue? =
                if case .some(.none) = bound[1] { nil } else { bound[1] }
            for item in try items(of: value) {
                results.append(try follow(path, from: item, standard: standard))
            }
            return results
        }
        guard let first = arguments.positional.first else { throw .wrong("map() needs a filter") }
        guard let name = first.text, let filter = JinjaFilter(rawValue: name) else {
            throw .unknownFilter(try string(first))
        }
        var rest = arguments
        rest.positional.removeFirst()
        for item in try items(of: value) { results.append(try apply(filter, to: item, rest)) }
        return results
    }

    private func selected(
        _ value: JinjaValue, _ arguments: JinjaArguments, keeps: Bool, byAttribute: Bool
    ) throws(JinjaFault) -> [JinjaValue] {
        guard value.isTrue else { return [] }
        var rest = arguments
        var path: [JinjaValue] = []
        if byAttribute {
            guard let attribute = rest.positional.first else {
                throw .wrong("selectattr() needs an attribute")
            }
            path = attributePath(attribute)
            rest.positional.removeFirst()
        }
        var test: JinjaTest?
        if let name = rest.positional.first {
            guard let text = name.text, let known = JinjaTest(rawValue: text) else {
                throw .unknownTest(try string(name))
            }
            test = known
            rest.positional.removeFirst()
        }
        var results: [JinjaValue] = []
        for item in try items(of: value) {
            try step()
            let tested = try follow(path, from: item)
            let holds: Bool
            if let test { holds = try check(test, on: tested, rest) } else { holds = tested.isTrue }
            if holds == keeps { results.append(item) }
        }
        return results
    }

    private func unique(
        _ value: JinjaValue, _ attribute: JinjaValue?, ignoresCase: Bool
    ) throws(JinjaFault) -> [JinjaValue] {
        let path = attributePath(attribute)
        var seen: Set<JinjaKey> = []
        var results: [JinjaValue] = []
        for item in try items(of: value) {
            let key = folded(try follow(path, from: item), ignoresCase)
            try key.checkHashable()
            charge(walking: key)
            if seen.insert(JinjaKey(key)).inserted { results.append(item) }
        }
        return results
    }

    // MARK: Order

    private func sort<T>(
        _ items: [T], isReversed: Bool, by key: (T) throws(JinjaFault) -> JinjaValue
    ) throws(JinjaFault) -> [T] {
        try charge(items: items.count * (items.count.bitWidth - items.count.leadingZeroBitCount))
        // Reversing twice keeps equal items in their order.
        guard isReversed else { return try stableSort(items, by: key) }
        return try stableSort(items.reversed(), by: key).reversed()
    }

    private func dictSorted(
        _ value: JinjaValue, _ isCaseSensitive: JinjaValue?, _ by: JinjaValue?,
        _ isReversed: JinjaValue?
    ) throws(JinjaFault) -> JinjaValue {
        guard case .dict(let dict) = value else {
            if case .undefined(let name) = value { throw .undefined(name) }
            throw .wrong("dictsort() needs a dict, not \(value.typeName)")
        }
        let by = by?.text ?? "key"
        guard by == "key" || by == "value" else {
            throw .wrong("dictsort() sorts by 'key' or 'value', not '\(by)'")
        }
        let ignoresCase = !(isCaseSensitive?.isTrue ?? false)
        let sorted = try sort(dict.entries, isReversed: isReversed?.isTrue ?? false) {
            entry throws(JinjaFault) in
            self.folded(by == "key" ? entry.key : entry.value, ignoresCase)
        }
        var pairs: [JinjaValue] = []
        for entry in sorted { pairs.append(.tuple(try JinjaList([entry.key, entry.value]))) }
        return .list(try JinjaList(pairs))
    }

    private func grouped(
        _ value: JinjaValue, _ attribute: JinjaValue?, _ standard: JinjaValue?, ignoresCase: Bool
    ) throws(JinjaFault) -> JinjaValue {
        let path = attributePath(attribute)
        let sorted = try sort(try items(of: value), isReversed: false) {
            item throws(JinjaFault) in
            self.folded(try self.follow(path, from: item, standard: standard), ignoresCase)
        }
        var groups: [(key: JinjaValue, shown: JinjaValue, items: [JinjaValue])] = []
        for item in sorted {
            let shown = try follow(path, from: item, standard: standard)
            let key = folded(shown, ignoresCase)
            if let last = groups.indices.last, groups[last].key.equals(key) {
                groups[last].items.append(item)
            } else {
                groups.append((key, shown, [item]))
            }
        }
        var results: [JinjaValue] = []
        for group in groups {
            let members = JinjaValue.list(try JinjaList(group.items))
            results.append(
                .tuple(try JinjaList([group.shown, members], labels: ["grouper", "list"])))
        }
        return .list(try JinjaList(results))
    }

    private func extreme(
        _ value: JinjaValue, _ attribute: JinjaValue?, ignoresCase: Bool, isMax: Bool
    ) throws(JinjaFault) -> JinjaValue {
        let path = attributePath(attribute)
        var best: (key: JinjaValue, item: JinjaValue)?
        for item in try items(of: value) {
            let key = folded(try follow(path, from: item), ignoresCase)
            if let found = best {
                let isBetter =
                    isMax ? try found.key.isLess(than: key) : try key.isLess(than: found.key)
                if isBetter { best = (key, item) }
            } else {
                best = (key, item)
            }
        }
        return best?.item ?? .undefined("the extreme of an empty sequence")
    }

    private func reversed(_ value: JinjaValue) throws(JinjaFault) -> JinjaValue {
        if let text = value.text {
            var scalars = String.UnicodeScalarView()
            scalars.append(contentsOf: text.unicodeScalars.reversed())
            return .string(String(scalars))
        }
        return .generator(try JinjaGenerator(try items(of: value).reversed()))
    }

    private func sum(
        _ value: JinjaValue, _ attribute: JinjaValue?, start: JinjaValue
    ) throws(JinjaFault) -> JinjaValue {
        if start.text != nil { throw .wrong("sum() cannot add strings; use join") }
        let path = attributePath(attribute)
        var total = start
        for item in try items(of: value) {
            total = try apply(.add, total, try follow(path, from: item))
        }
        return total
    }

    // MARK: Parts

    private func join(
        _ value: JinjaValue, with separator: JinjaValue, attribute: JinjaValue?
    ) throws(JinjaFault) -> String {
        let separator = try string(separator)
        let path = attributePath(attribute)
        var text = ""
        var isFirst = true
        for item in try items(of: value) {
            let piece = try string(try follow(path, from: item))
            try charge(bytes: separator.utf8.count + piece.utf8.count)
            if !isFirst { text += separator }
            isFirst = false
            text += piece
            guard text.utf8.count <= limits.bytes else { throw .limit(.bytes, limits.bytes) }
        }
        return text
    }

    private func count(_ value: JinjaValue?, _ name: String) throws(JinjaFault) -> Int {
        guard let count = value?.index else { throw .wrong("\(name)() needs an integer") }
        return count
    }

    private func batched(
        _ value: JinjaValue, _ size: JinjaValue?, fill: JinjaValue?
    ) throws(JinjaFault) -> JinjaValue {
        let size = try count(size, "batch")
        var lines: [JinjaValue] = []
        var current: [JinjaValue] = []
        for item in try items(of: value) {
            if current.count == size {
                lines.append(.list(try JinjaList(current)))
                current = []
            }
            current.append(item)
        }
        if !current.isEmpty {
            if let fill, !fill.equals(.none), current.count < size {
                try charge(items: size)
                current += Array(repeating: fill, count: size - current.count)
            }
            lines.append(.list(try JinjaList(current)))
        }
        return .generator(try JinjaGenerator(lines))
    }

    private func sliced(
        _ value: JinjaValue, _ slices: JinjaValue?, fill: JinjaValue?
    ) throws(JinjaFault) -> JinjaValue {
        let slices = try count(slices, "slice")
        guard slices != 0 else { throw .wrong("slice() needs at least one slice") }
        let items = try items(of: value)
        guard slices > 0 else { return .generator(try JinjaGenerator([])) }
        try charge(items: slices)
        var results: [JinjaValue] = []
        var start = 0
        for slice in 0..<slices {
            let isLonger = slice < items.count % slices
            let end = start + items.count / slices + (isLonger ? 1 : 0)
            var part = Array(items[start..<end])
            if let fill, !fill.equals(.none), !isLonger { part.append(fill) }
            results.append(.list(try JinjaList(part)))
            start = end
        }
        return .generator(try JinjaGenerator(results))
    }
}
