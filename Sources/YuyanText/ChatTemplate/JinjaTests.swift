/// The tests that can follow `is`.
enum JinjaTest: String, CaseIterable {
    case odd, even, divisibleby, defined, undefined, filter, test, none, boolean, `false`, `true`
    case integer, float, lower, upper, string, mapping, number, sequence, iterable, callable
    case sameas, escaped, `in`, eq, equalto, ne, gt, greaterthan, ge, lt, lessthan, le
    // Only the filters `select` and `reject` can name these.
    case equalSign = "=="
    case notEqualSign = "!="
    case greaterSign = ">"
    case greaterEqualSign = ">="
    case lessSign = "<"
    case lessEqualSign = "<="
}

extension JinjaInterpreter {
    func check(
        _ test: TemplateTest, on value: JinjaValue, in scope: JinjaScope
    ) throws(JinjaFault) -> Bool {
        guard let known = test.test else {
            line = test.line
            throw .unknownTest(test.name)
        }
        return try check(known, on: value, try evaluate(test.arguments, in: scope))
    }

    func check(
        _ test: JinjaTest, on value: JinjaValue, _ arguments: JinjaArguments
    ) throws(JinjaFault) -> Bool {
        switch test {
        case .divisibleby, .sameas, .in, .eq, .equalto, .equalSign, .ne, .notEqualSign, .gt,
            .greaterthan, .greaterSign, .ge, .greaterEqualSign, .lt, .lessthan, .lessSign, .le,
            .lessEqualSign:
            let names = test == .divisibleby ? ["num"] : test == .in ? ["seq"] : ["other"]
            let bound = try arguments.bound(to: names, required: 1, function: test.rawValue)
            return try compare(test, value, bound[0] ?? .none)
        default:
            _ = try arguments.bound(to: [], function: test.rawValue)
            return try holds(test, value)
        }
    }

    private func compare(
        _ test: JinjaTest, _ value: JinjaValue, _ other: JinjaValue
    ) throws(JinjaFault) -> Bool {
        switch test {
        case .divisibleby:
            return try apply(.modulo, value, other).equals(.integer(0))
        case .sameas: return isSame(value, other)
        case .in: return try contains(other, value)
        case .ne, .notEqualSign: return try holds(.notEqual, value, other)
        case .gt, .greaterthan, .greaterSign: return try holds(.greater, value, other)
        case .ge, .greaterEqualSign: return try holds(.greaterEqual, value, other)
        case .lt, .lessthan, .lessSign: return try holds(.less, value, other)
        case .le, .lessEqualSign: return try holds(.lessEqual, value, other)
        default: return try holds(.equal, value, other)
        }
    }

    private func holds(_ test: JinjaTest, _ value: JinjaValue) throws(JinjaFault) -> Bool {
        switch test {
        case .odd: return try apply(.modulo, value, .integer(2)).equals(.integer(1))
        case .even: return try apply(.modulo, value, .integer(2)).equals(.integer(0))
        case .defined: return !value.isUndefined
        case .undefined: return value.isUndefined
        case .filter:
            try value.checkHashable()
            return value.text.map { JinjaFilter(rawValue: $0) != nil } ?? false
        case .test:
            try value.checkHashable()
            return value.text.map { JinjaTest(rawValue: $0) != nil } ?? false
        case .lower: return hasCase(try string(value), isUpper: false)
        case .upper: return hasCase(try string(value), isUpper: true)
        case .string: return value.text != nil
        case .number: return value.number != nil
        case .iterable: return isIterable(value)
        default: break
        }
        switch (test, value) {
        case (.none, .none), (.boolean, .bool), (.true, .bool(true)), (.false, .bool(false)),
            (.integer, .integer), (.float, .float), (.mapping, .dict), (.escaped, .markup):
            return true
        case (.sequence, .string), (.sequence, .markup), (.sequence, .list), (.sequence, .tuple),
            (.sequence, .dict), (.sequence, .range), (.sequence, .undefined):
            return true
        case (.callable, .macro), (.callable, .function), (.callable, .method),
            (.callable, .joiner), (.callable, .loop), (.callable, .undefined):
            return true
        default: return false
        }
    }

    private func isIterable(_ value: JinjaValue) -> Bool {
        switch value {
        case .undefined, .string, .markup, .list, .tuple, .dict, .range, .view, .generator, .loop:
            true
        default: false
        }
    }

    /// Python's `is`, for values whose identity does not depend on how Python stores them.
    private func isSame(_ a: JinjaValue, _ b: JinjaValue) -> Bool {
        switch (a, b) {
        case (.list(let x), .list(let y)), (.tuple(let x), .tuple(let y)): x === y
        case (.dict(let x), .dict(let y)): x === y
        case (.bool, .bool), (.none, .none), (.integer, .integer), (.string, .string),
            (.namespace, .namespace), (.macro, .macro), (.float, .float):
            a.equals(b)
        default: false
        }
    }
}

/// Whether a text has letters and all of them have one case.
func hasCase(_ text: String, isUpper: Bool) -> Bool {
    var found = false
    for scalar in text.unicodeScalars {
        let properties = scalar.properties
        if properties.generalCategory == .titlecaseLetter { return false }
        if isUpper ? properties.isLowercase : properties.isUppercase { return false }
        if isUpper ? properties.isUppercase : properties.isLowercase { found = true }
    }
    return found
}
