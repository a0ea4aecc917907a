extension JinjaInterpreter {
    func string(_ value: JinjaValue) throws(JinjaFault) -> String {
        if case .string(let text) = value { return text }
        charge(walking: value)
        return try value.string(limit: limits.bytes)
    }

    func evaluate(
        _ expression: TemplateExpression, in scope: JinjaScope
    ) throws(JinjaFault) -> JinjaValue {
        try step()
        switch expression {
        case .none: return .none
        case .bool(let value): return .bool(value)
        case .integer(let value): return .integer(value)
        case .float(let value): return .float(value)
        case .string(let text): return .string(text)
        case .name(let number):
            return scope.value(number) ?? .undefined(tree.names[number])
        case .attribute(let base, let name):
            return try attribute(name, of: try evaluate(base, in: scope))
        case .subscripted(let base, let index):
            let value = try evaluate(base, in: scope)
            return try item(try evaluate(index, in: scope), of: value)
        case .comparison(let first, let others):
            return try compare(first, others, in: scope)
        case .and(let parts):
            var value = JinjaValue.bool(true)
            for part in parts {
                value = try evaluate(part, in: scope)
                if !value.isTrue { return value }
            }
            return value
        case .or(let parts):
            var value = JinjaValue.bool(false)
            for part in parts {
                value = try evaluate(part, in: scope)
                if value.isTrue { return value }
            }
            return value
        case .not(let part): return .bool(!(try evaluate(part, in: scope).isTrue))
        case .conditional(let test, let then, let otherwise):
            if try evaluate(test, in: scope).isTrue { return try evaluate(then, in: scope) }
            guard let otherwise else { return .undefined("the value of an inline if without else") }
            return try evaluate(otherwise, in: scope)
        case .call(let callee, let arguments):
            return try call(callee, arguments, caller: nil, in: scope)
        case .filter(let base, let filter):
            return try apply(filter, to: try evaluate(base, in: scope), in: scope)
        case .test(let base, let test):
            return .bool(try check(test, on: try evaluate(base, in: scope), in: scope))
        case .arithmetic(let first, let others):
            var value = try evaluate(first, in: scope)
            for (operation, operand) in others {
                value = try apply(operation, value, try evaluate(operand, in: scope))
            }
            return value
        default: return try evaluateRare(expression, in: scope)
        }
    }

    private func evaluateRare(
        _ expression: TemplateExpression, in scope: JinjaScope
    ) throws(JinjaFault) -> JinjaValue {
        switch expression {
        case .concatenation(let parts):
            var text = ""
            for part in parts {
                text += try string(try evaluate(part, in: scope))
                guard text.utf8.count <= limits.bytes else { throw .limit(.bytes, limits.bytes) }
            }
            try charge(bytes: text.utf8.count)
            return .string(text)
        case .list(let parts): return .list(try JinjaList(try evaluate(parts, in: scope)))
        case .tuple(let parts): return .tuple(try JinjaList(try evaluate(parts, in: scope)))
        case .dict(let parts):
            var entries: [(key: JinjaValue, value: JinjaValue)] = []
            for (key, value) in parts {
                entries.append((try evaluate(key, in: scope), try evaluate(value, in: scope)))
            }
            return .dict(try JinjaDict(entries: entries))
        case .negated(let part): return try signed(try evaluate(part, in: scope), isNegative: true)
        case .positive(let part):
            return try signed(try evaluate(part, in: scope), isNegative: false)
        case .slice(let base, let start, let stop, let step):
            let value = try evaluate(base, in: scope)
            let bounds = [
                try bound(start, in: scope), try bound(stop, in: scope), try bound(step, in: scope),
            ]
            if case .undefined(let name) = value { throw .undefined(name) }
            return try slice(value, bounds[0], bounds[1], bounds[2])
        default: return .none
        }
    }

    func evaluate(
        _ parts: [TemplateExpression], in scope: JinjaScope
    ) throws(JinjaFault) -> [JinjaValue] {
        var values: [JinjaValue] = []
        values.reserveCapacity(parts.count)
        for part in parts { values.append(try evaluate(part, in: scope)) }
        return values
    }

    private func signed(_ value: JinjaValue, isNegative: Bool) throws(JinjaFault) -> JinjaValue {
        if let number = value.index {
            guard number != .min || !isNegative else { throw .limit(.integers, .max) }
            return .integer(isNegative ? -number : number)
        }
        if case .float(let number) = value { return .float(isNegative ? -number : number) }
        if case .undefined(let name) = value { throw .undefined(name) }
        throw .wrong("a \(value.typeName) has no sign")
    }

    // MARK: Comparison

    private func compare(
        _ first: TemplateExpression,
        _ others: [(operation: TemplateExpression.Comparison, operand: TemplateExpression)],
        in scope: JinjaScope
    ) throws(JinjaFault) -> JinjaValue {
        var left = try evaluate(first, in: scope)
        for (operation, operand) in others {
            let right = try evaluate(operand, in: scope)
            guard try holds(operation, left, right) else { return .bool(false) }
            left = right
        }
        return .bool(true)
    }

    func holds(
        _ operation: TemplateExpression.Comparison, _ left: JinjaValue, _ right: JinjaValue
    ) throws(JinjaFault) -> Bool {
        charge(walking: left)
        switch operation {
        case .equal: return left.equals(right)
        case .notEqual: return !left.equals(right)
        case .less: return try left.isLess(than: right)
        case .greater: return try right.isLess(than: left)
        case .lessEqual: return try left.isAtMost(right)
        case .greaterEqual: return try right.isAtMost(left)
        case .isIn: return try contains(right, left)
        case .isNotIn: return !(try contains(right, left))
        }
    }

    /// Python's `value in container`.
    func contains(_ container: JinjaValue, _ value: JinjaValue) throws(JinjaFault) -> Bool {
        charge(walking: container)
        if let text = container.text {
            guard let part = value.text else {
                throw .wrong("'in' needs a string on the left of a string, found \(value.typeName)")
            }
            return firstRange(of: Array(part.utf8), in: Array(text.utf8), from: 0) != nil
        }
        switch container {
        case .dict(let dict):
            try value.checkHashable()
            return dict.value(value) != nil
        case .view(let view) where view.kind == .keys:
            try value.checkHashable()
            return view.dict.value(value) != nil
        default:
            return try items(of: container).contains { $0.equals(value) }
        }
    }

    // MARK: Sequences

    /// Everything a `for` loop would visit.
    func items(of value: JinjaValue) throws(JinjaFault) -> [JinjaValue] {
        switch value {
        case .list(let list), .tuple(let list): return list.items
        case .dict(let dict): return dict.keys
        case .view(let view): return try view.items()
        case .generator(let generator): return try generator.rest()
        case .undefined: return []
        case .string(let text), .markup(let text):
            try charge(bytes: text.utf8.count * 8)
            return text.unicodeScalars.map { .string(String($0)) }
        case .range(let range):
            try charge(items: range.count)
            return (0..<range.count).map { range[$0] }
        default:
            throw .wrong("a value of type \(value.typeName) cannot be iterated over")
        }
    }

    /// The number of items, for values that have one.
    func length(of value: JinjaValue) throws(JinjaFault) -> Int {
        switch value {
        case .string(let text), .markup(let text):
            charge(walking: text)
            return text.unicodeScalars.count
        case .list(let list), .tuple(let list): return list.items.count
        case .dict(let dict): return dict.keys.count
        case .view(let view): return view.dict.keys.count
        case .range(let range): return range.count
        case .loop(let loop): return loop.items.count
        case .undefined: return 0
        default: throw .wrong("a value of type \(value.typeName) has no length")
        }
    }

    private func bound(
        _ expression: TemplateExpression?, in scope: JinjaScope
    ) throws(JinjaFault) -> Int? {
        guard let expression else { return nil }
        let value = try evaluate(expression, in: scope)
        if case .none = value { return nil }
        guard let index = value.index else {
            throw .wrong("a slice needs integers, found \(value.typeName)")
        }
        return index
    }

    private func slice(
        _ value: JinjaValue, _ start: Int?, _ stop: Int?, _ step: Int?
    ) throws(JinjaFault) -> JinjaValue {
        let step = step ?? 1
        guard step != 0 else { throw .wrong("the step of a slice is 0") }
        switch value {
        case .list(let list):
            return .list(try JinjaList(sliced(list.items, start, stop, step)))
        case .tuple(let list):
            return .tuple(try JinjaList(sliced(list.items, start, stop, step)))
        case .string(let text), .markup(let text):
            try charge(bytes: text.utf8.count)
            var scalars = String.UnicodeScalarView()
            scalars.append(contentsOf: sliced(Array(text.unicodeScalars), start, stop, step))
            return .string(String(scalars))
        case .range(let range):
            let places = sliceIndices(range.count, start, stop, step)
            return .range(
                JinjaRange(
                    start: range.start + (places.first ?? 0) * range.step,
                    step: places.count > 1 ? range.step * step : 1, count: places.count))
        default: return .undefined("slice of \(value.typeName)")
        }
    }

    private func sliced<T>(_ items: [T], _ start: Int?, _ stop: Int?, _ step: Int) -> [T] {
        sliceIndices(items.count, start, stop, step).map { items[$0] }
    }
}

/// The places that Python's `[start:stop:step]` visits.
func sliceIndices(_ count: Int, _ start: Int?, _ stop: Int?, _ step: Int) -> [Int] {
    func clamp(_ bound: Int, _ low: Int, _ high: Int) -> Int {
        min(max(bound < 0 ? (bound == .min ? low : bound + count) : bound, low), high)
    }
    // A step longer than the sequence takes one item; clamping it avoids overflow.
    let step = min(max(step, -(count + 1)), count + 1)
    if step > 0 {
        let first = clamp(start ?? 0, 0, count)
        let last = clamp(stop ?? count, 0, count)
        return first < last ? Array(stride(from: first, to: last, by: step)) : []
    }
    let first = start.map { clamp($0, -1, count - 1) } ?? count - 1
    let last = stop.map { clamp($0, -1, count - 1) } ?? -1
    return first > last ? Array(stride(from: first, to: last, by: step)) : []
}

/// The next occurrence of `part`, or nil.
func firstRange(of part: [UInt8], in text: [UInt8], from start: Int) -> Range<Int>? {
    guard start + part.count <= text.count else { return nil }
    guard let first = part.first else { return start..<start }
    var i = start
    while i + part.count <= text.count {
        if text[i] == first, text[i..<i + part.count].elementsEqual(part) {
            return i..<i + part.count
        }
        i += 1
    }
    return nil
}
