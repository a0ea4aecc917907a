#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

extension JinjaInterpreter {
    /// Applies a binary operator with Python's rules for each pair of types.
    func apply(
        _ operation: TemplateExpression.Arithmetic, _ left: JinjaValue, _ right: JinjaValue
    ) throws(JinjaFault) -> JinjaValue {
        if operation == .modulo, let format = left.text {
            return .string(try formatPercent(format, right))
        }
        if case .undefined(let name) = left { throw .undefined(name) }
        if case .undefined(let name) = right { throw .undefined(name) }
        if let a = left.index, let b = right.index { return try integers(operation, a, b) }
        if let a = left.number, let b = right.number { return try floats(operation, a, b) }
        switch (operation, left, right) {
        case (.add, .string(let a), .string(let b)): return .string(try joined(a, b))
        case (.add, .markup(let a), .markup(let b)): return .markup(try joined(a, b))
        case (.add, .markup(let a), .string(let b)): return .markup(try joined(a, escapeHTML(b)))
        case (.add, .string(let a), .markup(let b)): return .markup(try joined(escapeHTML(a), b))
        case (.add, .list(let a), .list(let b)): return .list(try joined(a, b))
        case (.add, .tuple(let a), .tuple(let b)): return .tuple(try joined(a, b))
        case (.multiply, _, _):
            if let count = right.index { return try repeated(left, count) }
            if let count = left.index { return try repeated(right, count) }
        default: break
        }
        throw .wrong(
            "'\(operation.symbol)' is not defined between \(left.typeName) and \(right.typeName)")
    }

    func joined(_ a: String, _ b: String) throws(JinjaFault) -> String {
        try charge(bytes: a.utf8.count + b.utf8.count)
        return a + b
    }

    private func joined(_ a: JinjaList, _ b: JinjaList) throws(JinjaFault) -> JinjaList {
        try charge(items: a.items.count + b.items.count)
        return try JinjaList(a.items + b.items)
    }

    private func repeated(_ value: JinjaValue, _ count: Int) throws(JinjaFault) -> JinjaValue {
        let times = max(0, count)
        switch value {
        case .string(let text): return .string(try repeated(text, times))
        case .markup(let text): return .markup(try repeated(text, times))
        case .list(let list), .tuple(let list):
            let (total, overflows) = list.items.count.multipliedReportingOverflow(by: times)
            try charge(items: overflows ? .max : total)
            var items: [JinjaValue] = []
            items.reserveCapacity(total)
            if !list.items.isEmpty { for _ in 0..<times { items += list.items } }
            let result = try JinjaList(items)
            if case .list = value { return .list(result) }
            return .tuple(result)
        default: throw .wrong("'*' is not defined between \(value.typeName) and int")
        }
    }

    func repeated(_ text: String, _ count: Int) throws(JinjaFault) -> String {
        let (total, overflows) = text.utf8.count.multipliedReportingOverflow(by: max(0, count))
        try charge(bytes: overflows ? .max : total)
        return text.isEmpty ? "" : String(repeating: text, count: max(0, count))
    }

    private func integers(
        _ operation: TemplateExpression.Arithmetic, _ a: Int, _ b: Int
    ) throws(JinjaFault) -> JinjaValue {
        let result: (partialValue: Int, overflow: Bool)
        switch operation {
        case .add: result = a.addingReportingOverflow(b)
        case .subtract: result = a.subtractingReportingOverflow(b)
        case .multiply: result = a.multipliedReportingOverflow(by: b)
        case .divide:
            guard b != 0 else { throw .wrong("division by zero") }
            return .float(Double(a) / Double(b))
        case .floorDivide, .modulo:
            guard b != 0 else { throw .wrong("division by zero") }
            guard b != -1 else { return try integers(.multiply, operation == .modulo ? 0 : a, -1) }
            let (quotient, remainder) = a.quotientAndRemainder(dividingBy: b)
            let isShifted = remainder != 0 && (remainder < 0) != (b < 0)
            let floor = isShifted ? quotient - 1 : quotient
            return .integer(operation == .modulo ? (isShifted ? remainder + b : remainder) : floor)
        case .power:
            guard b >= 0 else { return try floats(.power, Double(a), Double(b)) }
            result = power(a, b)
        }
        guard !result.overflow else { throw .limit(.integers, .max) }
        return .integer(result.partialValue)
    }

    private func power(_ base: Int, _ exponent: Int) -> (partialValue: Int, overflow: Bool) {
        if exponent == 0 || base == 1 { return (1, false) }
        if base == 0 { return (0, false) }
        if base == -1 { return (exponent % 2 == 0 ? 1 : -1, false) }
        guard exponent < 64 else { return (0, true) }
        var result = 1
        for _ in 0..<exponent {
            let (next, overflows) = result.multipliedReportingOverflow(by: base)
            if overflows { return (0, true) }
            result = next
        }
        return (result, false)
    }

    private func floats(
        _ operation: TemplateExpression.Arithmetic, _ a: Double, _ b: Double
    ) throws(JinjaFault) -> JinjaValue {
        switch operation {
        case .add: return .float(a + b)
        case .subtract: return .float(a - b)
        case .multiply: return .float(a * b)
        case .divide:
            guard b != 0 else { throw .wrong("division by zero") }
            return .float(a / b)
        case .floorDivide, .modulo:
            guard b != 0 else { throw .wrong("division by zero") }
            var remainder = fmod(a, b)
            var quotient = (a - remainder) / b
            if remainder != 0 {
                if (b < 0) != (remainder < 0) {
                    remainder += b
                    quotient -= 1
                }
            } else {
                remainder = b < 0 ? -0.0 : 0.0
            }
            if operation == .modulo { return .float(remainder) }
            guard quotient != 0 else {
                return .float(a / b < 0 || (a / b).sign == .minus ? -0.0 : 0.0)
            }
            let floor = quotient.rounded(.down)
            return .float(quotient - floor > 0.5 ? floor + 1 : floor)
        case .power:
            if a == 0, b < 0 { throw .wrong("zero cannot be raised to a negative power") }
            if a < 0, a.isFinite, b.isFinite, b != b.rounded() {
                throw .wrong("a negative number cannot be raised to a fraction")
            }
            let result = pow(a, b)
            if result.isInfinite, a.isFinite, b.isFinite { throw .wrong("the power is too large") }
            return .float(result)
        }
    }
}

extension TemplateExpression.Arithmetic {
    var symbol: String {
        switch self {
        case .add: "+"
        case .subtract: "-"
        case .multiply: "*"
        case .divide: "/"
        case .floorDivide: "//"
        case .modulo: "%"
        case .power: "**"
        }
    }
}

/// Escapes what has a meaning in HTML.
func escapeHTML(_ text: String) -> String {
    var result: [UInt8] = []
    result.reserveCapacity(text.utf8.count + 16)
    for byte in text.utf8 {
        switch byte {
        case UInt8(ascii: "&"): result += "&amp;".utf8
        case UInt8(ascii: "<"): result += "&lt;".utf8
        case UInt8(ascii: ">"): result += "&gt;".utf8
        case UInt8(ascii: "'"): result += "&#39;".utf8
        case UInt8(ascii: "\""): result += "&#34;".utf8
        default: result.append(byte)
        }
    }
    return String(decoding: result, as: UTF8.self)
}
