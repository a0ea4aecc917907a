extension TemplateParser {
    /// Parses expressions with commas between them; one without a comma stands for itself.
    mutating func parseTuple(
        withConditional: Bool = true, isParenthesised: Bool = false
    ) throws(TemplateError) -> TemplateExpression {
        var items: [TemplateExpression] = []
        var isTuple = false
        while !isTupleEnd {
            items.append(
                withConditional ? try parseExpression() : try parseUnconditional())
            guard skip(.comma) else { break }
            isTuple = true
        }
        if isTuple { return .tuple(items) }
        if let only = items.first { return only }
        guard isParenthesised else { throw unexpected("an expression") }
        return .tuple([])
    }

    private var isTupleEnd: Bool {
        switch current.kind {
        case .variableEnd, .blockEnd, .symbol(.rightParenthesis): true
        default: false
        }
    }

    mutating func parseExpression() throws(TemplateError) -> TemplateExpression {
        try enter()
        defer { depth -= 1 }
        let mark = unguarded.count
        var value = try parseUnconditional()
        var links = 0
        while skip(name: "if") {
            let test = try parseUnconditional()
            var otherwise: TemplateExpression?
            if skip(name: "else") { otherwise = try parseExpression() }
            value = .conditional(test: test, then: value, otherwise: otherwise)
            unguarded.removeSubrange(mark...)
            try checkLinks(&links)
        }
        return value
    }

    /// Parses everything that binds tighter than `if … else`.
    mutating func parseUnconditional() throws(TemplateError) -> TemplateExpression {
        var alternatives = [try parseAnd()]
        while skip(name: "or") { alternatives.append(try parseAnd()) }
        return alternatives.count == 1 ? alternatives[0] : .or(alternatives)
    }

    private mutating func parseAnd() throws(TemplateError) -> TemplateExpression {
        var conditions = [try parseNot()]
        while skip(name: "and") { conditions.append(try parseNot()) }
        return conditions.count == 1 ? conditions[0] : .and(conditions)
    }

    private mutating func parseNot() throws(TemplateError) -> TemplateExpression {
        var count = 0
        while skip(name: "not") { count += 1 }
        let value = try parseComparison()
        if count == 0 { return value }
        return count % 2 == 1 ? .not(value) : .not(.not(value))
    }

    private mutating func parseComparison() throws(TemplateError) -> TemplateExpression {
        let first = try parseSum()
        var others: [(operation: TemplateExpression.Comparison, operand: TemplateExpression)] = []
        while let operation = skipComparison() {
            others.append((operation, try parseSum()))
        }
        return others.isEmpty ? first : .comparison(first, others)
    }

    private mutating func skipComparison() -> TemplateExpression.Comparison? {
        let operation: TemplateExpression.Comparison
        switch current.kind {
        case .symbol(.equal): operation = .equal
        case .symbol(.notEqual): operation = .notEqual
        case .symbol(.less): operation = .less
        case .symbol(.lessEqual): operation = .lessEqual
        case .symbol(.greater): operation = .greater
        case .symbol(.greaterEqual): operation = .greaterEqual
        case .name("in"): operation = .isIn
        case .name("not"):
            guard case .name("in") = tokens[position + 1].kind else { return nil }
            position += 1
            operation = .isNotIn
        default: return nil
        }
        position += 1
        return operation
    }

    private mutating func parseSum() throws(TemplateError) -> TemplateExpression {
        let first = try parseConcatenation()
        var others: [(operation: TemplateExpression.Arithmetic, operand: TemplateExpression)] = []
        while true {
            if skip(.add) {
                others.append((.add, try parseConcatenation()))
            } else if skip(.subtract) {
                others.append((.subtract, try parseConcatenation()))
            } else {
                return others.isEmpty ? first : .arithmetic(first, others)
            }
        }
    }

    private mutating func parseConcatenation() throws(TemplateError) -> TemplateExpression {
        var parts = [try parseProduct()]
        while skip(.tilde) { parts.append(try parseProduct()) }
        return parts.count == 1 ? parts[0] : .concatenation(parts)
    }

    private mutating func parseProduct() throws(TemplateError) -> TemplateExpression {
        let first = try parsePower()
        var others: [(operation: TemplateExpression.Arithmetic, operand: TemplateExpression)] = []
        while true {
            if skip(.multiply) {
                others.append((.multiply, try parsePower()))
            } else if skip(.divide) {
                others.append((.divide, try parsePower()))
            } else if skip(.floorDivide) {
                others.append((.floorDivide, try parsePower()))
            } else if skip(.modulo) {
                others.append((.modulo, try parsePower()))
            } else {
                return others.isEmpty ? first : .arithmetic(first, others)
            }
        }
    }

    private mutating func parsePower() throws(TemplateError) -> TemplateExpression {
        let first = try parseUnary(withFilters: true)
        var others: [(operation: TemplateExpression.Arithmetic, operand: TemplateExpression)] = []
        while skip(.power) { others.append((.power, try parseUnary(withFilters: true))) }
        return others.isEmpty ? first : .arithmetic(first, others)
    }

    private mutating func parseUnary(
        withFilters: Bool
    ) throws(TemplateError) -> TemplateExpression {
        var value: TemplateExpression
        if isAt(.subtract) || isAt(.add) {
            try enter()
            defer { depth -= 1 }
            let isNegation = isAt(.subtract)
            position += 1
            let operand = try parseUnary(withFilters: false)
            value = isNegation ? .negated(operand) : .positive(operand)
        } else {
            value = try parsePrimary()
        }
        var links = 0
        value = try parsePostfix(value, links: &links)
        if withFilters { value = try parseFiltersAndTests(value, links: &links) }
        return value
    }

    private mutating func parsePrimary() throws(TemplateError) -> TemplateExpression {
        switch current.kind {
        case .name(let name):
            position += 1
            switch name {
            case "true", "True": return .bool(true)
            case "false", "False": return .bool(false)
            case "none", "None": return .none
            default: return .name(number(of: name))
            }
        case .string(var text):
            position += 1
            while case .string(let next) = current.kind {
                text += next
                position += 1
            }
            return .string(text)
        case .integer(let value):
            position += 1
            return .integer(value)
        case .float(let value):
            position += 1
            return .float(value)
        case .symbol(.leftParenthesis):
            position += 1
            let value = try parseTuple(isParenthesised: true)
            try expect(.rightParenthesis)
            return value
        case .symbol(.leftBracket):
            position += 1
            var items: [TemplateExpression] = []
            while !isAt(.rightBracket) {
                items.append(try parseExpression())
                guard skip(.comma) else { break }
            }
            try expect(.rightBracket)
            return .list(items)
        case .symbol(.leftBrace):
            position += 1
            var items: [(key: TemplateExpression, value: TemplateExpression)] = []
            while !isAt(.rightBrace) {
                let key = try parseExpression()
                try expect(.colon)
                items.append((key, try parseExpression()))
                guard skip(.comma) else { break }
            }
            try expect(.rightBrace)
            return .dict(items)
        default:
            throw unexpected("an expression")
        }
    }

    /// A chain of links nests in the tree, so it counts as depth.
    private func checkLinks(_ links: inout Int) throws(TemplateError) {
        links += 1
        guard links <= TemplateLimits.sourceLinks else {
            let fault = JinjaFault.limit(.depth, TemplateLimits.sourceLinks)
            throw fault.at(template: lexer.template, line: current.line)
        }
    }

    private mutating func parsePostfix(
        _ start: TemplateExpression, links: inout Int
    ) throws(TemplateError) -> TemplateExpression {
        var value = start
        while true {
            if skip(.dot) {
                switch current.kind {
                case .name(let name): value = .attribute(value, name)
                case .integer(let index): value = .subscripted(value, .integer(index))
                default: throw unexpected("a name or number")
                }
                position += 1
            } else if skip(.leftBracket) {
                value = try parseSubscript(of: value)
            } else if isAt(.leftParenthesis) {
                value = .call(value, try parseArguments())
            } else {
                return value
            }
            try checkLinks(&links)
        }
    }

    private mutating func parseSubscript(
        of value: TemplateExpression
    ) throws(TemplateError) -> TemplateExpression {
        if skip(.rightBracket) { return .subscripted(value, .tuple([])) }
        var start: TemplateExpression?
        if !isAt(.colon) {
            let index = try parseExpression()
            if isAt(.comma) {
                var items = [index]
                while skip(.comma) { items.append(try parseExpression()) }
                try expect(.rightBracket)
                return .subscripted(value, .tuple(items))
            }
            if skip(.rightBracket) { return .subscripted(value, index) }
            start = index
        }
        try expect(.colon)
        var stop: TemplateExpression?
        var step: TemplateExpression?
        if !isAt(.colon), !isAt(.rightBracket) { stop = try parseExpression() }
        if skip(.colon), !isAt(.rightBracket) { step = try parseExpression() }
        try expect(.rightBracket)
        return .slice(value, start: start, stop: stop, step: step)
    }

    private mutating func parseFiltersAndTests(
        _ start: TemplateExpression, links: inout Int
    ) throws(TemplateError) -> TemplateExpression {
        var value = start
        while true {
            if isAt(.pipe) {
                for filter in try parseFilterChain(startsInline: false) {
                    value = .filter(value, filter)
                    try checkLinks(&links)
                }
            } else if isAt(name: "is") {
                value = try parseTest(value)
            } else if isAt(.leftParenthesis) {
                value = .call(value, try parseArguments())
            } else {
                return value
            }
            try checkLinks(&links)
        }
    }

    mutating func parseFilterChain(
        startsInline: Bool
    ) throws(TemplateError) -> [TemplateFilter] {
        var filters: [TemplateFilter] = []
        while filters.isEmpty && startsInline || skip(.pipe) {
            let line = current.line
            let name = try parseDottedName()
            var arguments = TemplateArguments()
            if isAt(.leftParenthesis) { arguments = try parseArguments() }
            let filter = JinjaFilter(rawValue: name)
            if filter == nil { unguarded.append((name, true, line)) }
            filters.append(
                TemplateFilter(name: name, filter: filter, arguments: arguments, line: line))
        }
        return filters
    }

    private mutating func parseDottedName() throws(TemplateError) -> String {
        var name = try expectName()
        while skip(.dot) { name += "." + (try expectName()) }
        return name
    }

    private mutating func parseTest(
        _ value: TemplateExpression
    ) throws(TemplateError) -> TemplateExpression {
        position += 1
        let isNegated = skip(name: "not")
        let line = current.line
        let name = try parseDottedName()
        var arguments = TemplateArguments()
        switch current.kind {
        case .symbol(.leftParenthesis):
            arguments = try parseArguments()
        case .name("else"), .name("or"), .name("and"):
            break
        case .name("is"):
            throw unexpected("one test at a time")
        case .name, .string, .integer, .float, .symbol(.leftBracket), .symbol(.leftBrace):
            try enter()
            defer { depth -= 1 }
            var links = 0
            let operand = try parsePrimary()
            arguments.positional = [try parsePostfix(operand, links: &links)]
        default:
            break
        }
        let test = JinjaTest(rawValue: name)
        if test == nil { unguarded.append((name, false, line)) }
        let tested = TemplateExpression.test(
            value, TemplateTest(name: name, test: test, arguments: arguments, line: line))
        return isNegated ? .not(tested) : tested
    }

    private mutating func parseArguments() throws(TemplateError) -> TemplateArguments {
        var arguments = TemplateArguments()
        try expect(.leftParenthesis)
        while !isAt(.rightParenthesis) {
            if isAt(.multiply) {
                guard arguments.unpacked == nil, arguments.unpackedKeywords == nil else {
                    throw unexpected("')'")
                }
                position += 1
                arguments.unpacked = try parseExpression()
            } else if isAt(.power) {
                guard arguments.unpackedKeywords == nil else { throw unexpected("')'") }
                position += 1
                arguments.unpackedKeywords = try parseExpression()
            } else if case .name(let name) = current.kind,
                case .symbol(.assign) = tokens[position + 1].kind
            {
                guard arguments.unpackedKeywords == nil,
                    !arguments.keyword.contains(where: { $0.name == name })
                else { throw unexpected("a new keyword") }
                position += 2
                arguments.keyword.append((name, try parseExpression()))
            } else {
                guard arguments.unpacked == nil, arguments.unpackedKeywords == nil,
                    arguments.keyword.isEmpty
                else { throw unexpected("a keyword argument") }
                arguments.positional.append(try parseExpression())
            }
            guard skip(.comma) else { break }
        }
        try expect(.rightParenthesis)
        return arguments
    }
}
