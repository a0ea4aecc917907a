/// Builds the tree of a template: statements here, expressions in the extension.
struct TemplateParser {
    var lexer: TemplateLexer
    var tokens: [TemplateToken] = []
    var position = 0
    var names = TemplateTree.fixedNames
    var numbers: [String: Int] = [:]
    /// Implicit names mentioned in each enclosing macro, and whether each loop mentions `loop`.
    var macroUses: [TemplateMacro.Implicit] = []
    var loopUses: [Bool] = []
    var loopDepth = 0
    var depth = 0
    let stackBase = stackAddress()
    /// Unknown filters and tests that only fail when reached, unless no condition guards them.
    var unguarded: [(name: String, isFilter: Bool, line: Int)] = []
    var unknown: [(name: String, isFilter: Bool, line: Int)] = []

    init(_ source: String, template: String) throws(TemplateError) {
        lexer = TemplateLexer(source, template: template)
        tokens = try lexer.tokenize()
        for (number, name) in names.enumerated() { numbers[name] = number }
    }

    mutating func parse() throws(TemplateError) -> TemplateTree {
        let body = try parseBody(until: [])
        unknown += unguarded
        if let first = unknown.first {
            let fault: JinjaFault =
                first.isFilter ? .unknownFilter(first.name) : .unknownTest(first.name)
            throw fault.at(template: lexer.template, line: first.line)
        }
        return TemplateTree(body: body, names: names)
    }

    // MARK: Statements

    /// Parses up to a tag that is in `ends`, leaving the tag's name as the current token.
    private mutating func parseBody(
        until ends: [String]
    ) throws(TemplateError) -> [TemplateStatement] {
        try enter()
        defer { depth -= 1 }
        var body: [TemplateStatement] = []
        while true {
            switch current.kind {
            case .data(let text):
                position += 1
                body.append(.text(text))
            case .variableBegin:
                position += 1
                let line = current.line
                let value = try parseTuple()
                guard case .variableEnd = current.kind else { throw unexpected("'}}'") }
                position += 1
                body.append(.output(value, line: line))
            case .blockBegin:
                position += 1
                if case .name(let name) = current.kind, ends.contains(name) { return body }
                body.append(contentsOf: try parseStatement(ends: ends))
                guard case .blockEnd = current.kind else { throw unexpected("'%}'") }
                position += 1
            default:
                guard ends.isEmpty else { throw unexpected(ends.joined(separator: " or ")) }
                return body
            }
        }
    }

    /// Parses the rest of a tag and the body behind it.
    private mutating func parseTagBody(
        until ends: String...
    ) throws(TemplateError) -> [TemplateStatement] {
        _ = skip(.colon)
        guard case .blockEnd = current.kind else { throw unexpected("'%}'") }
        position += 1
        return try parseBody(until: ends)
    }

    /// Parses a body in a scope of its own, where conditions outside guard nothing.
    private mutating func parseScopedBody(
        until ends: String...
    ) throws(TemplateError) -> [TemplateStatement] {
        let mark = unguarded.count
        _ = skip(.colon)
        guard case .blockEnd = current.kind else { throw unexpected("'%}'") }
        position += 1
        let body = try parseBody(until: ends)
        unknown += unguarded[mark...]
        unguarded.removeSubrange(mark...)
        return body
    }

    private mutating func parseStatement(
        ends: [String]
    ) throws(TemplateError) -> [TemplateStatement] {
        guard case .name(let tag) = current.kind else { throw unexpected("the name of a tag") }
        let line = current.line
        position += 1
        switch tag {
        case "if": return [try parseBranch(line)]
        case "for": return [try parseLoop(line)]
        case "set": return [try parseSet(line)]
        case "macro": return [try parseMacro(line)]
        case "call": return [try parseCallBlock(line)]
        case "with": return [try parseWith(line)]
        case "filter":
            let filters = try parseFilterChain(startsInline: true)
            let body = try parseScopedBody(until: "endfilter")
            position += 1
            return [.filterBlock(filters, body)]
        case "generation":
            let outer = loopDepth
            loopDepth = 0
            let body = try parseScopedBody(until: "endgeneration")
            loopDepth = outer
            position += 1
            return [.generation(body, line: line)]
        case "print":
            var values: [TemplateStatement] = []
            while true {
                if case .blockEnd = current.kind { return values }
                if !values.isEmpty { try expect(.comma) }
                values.append(.output(try parseExpression(), line: line))
            }
        case "block": return [try parseNamedBlock()]
        case "autoescape":
            guard case .bool(false) = try parseExpression() else {
                throw unexpected("autoescape false: chat templates are not HTML")
            }
            let body = try parseScopedBody(until: "endautoescape")
            position += 1
            return [.scope(body)]
        case "break", "continue":
            guard loopDepth > 0 else {
                position -= 1
                throw unexpected("a loop around it")
            }
            return [tag == "break" ? .leaveLoop : .nextTurn]
        default:
            position -= 1
            throw unexpected(
                ends.isEmpty ? "a statement" : "a statement, " + ends.joined(separator: " or "))
        }
    }

    private mutating func parseBranch(_ line: Int) throws(TemplateError) -> TemplateStatement {
        let mark = unguarded.count
        var branches: [(test: TemplateExpression, body: [TemplateStatement])] = []
        while true {
            let test = try parseTuple(withConditional: false)
            branches.append((test, try parseTagBody(until: "elif", "else", "endif")))
            guard skip(name: "elif") else { break }
        }
        var otherwise: [TemplateStatement] = []
        if skip(name: "else") { otherwise = try parseTagBody(until: "endif") }
        position += 1
        unguarded.removeSubrange(mark...)
        return .branch(branches, otherwise, line)
    }

    private mutating func parseLoop(_ line: Int) throws(TemplateError) -> TemplateStatement {
        let target = try parseTarget()
        if mentionsLoop(target) { throw unexpected("another name than 'loop' for the item") }
        try expect(name: "in")
        let sequence = try parseTuple(withConditional: false)
        let condition = skip(name: "if") ? try parseExpression() : nil
        let isRecursive = skip(name: "recursive")
        loopUses.append(false)
        loopDepth += 1
        let body = try parseScopedBody(until: "endfor", "else")
        loopDepth -= 1
        let usesLoop = loopUses.removeLast()
        if usesLoop { markLoopUse() }
        var otherwise: [TemplateStatement] = []
        if skip(name: "else") { otherwise = try parseScopedBody(until: "endfor") }
        position += 1
        return .loop(
            TemplateLoop(
                target: target, sequence: sequence, condition: condition, isRecursive: isRecursive,
                needsContext: usesLoop || isRecursive, body: body, otherwise: otherwise, line: line)
        )
    }

    private func mentionsLoop(_ target: TemplateTarget) -> Bool {
        switch target {
        case .name(let number): number == TemplateTree.loop
        case .member: false
        case .tuple(let parts): parts.contains(where: mentionsLoop)
        }
    }

    private mutating func parseSet(_ line: Int) throws(TemplateError) -> TemplateStatement {
        let target = try parseTarget(allowsMembers: true)
        if skip(.assign) { return .set(target, try parseTuple(), line: line) }
        let filters = try parseFilterChain(startsInline: false)
        let body = try parseScopedBody(until: "endset")
        position += 1
        return .capture(target, filters, body, line: line)
    }

    private mutating func parseWith(_ line: Int) throws(TemplateError) -> TemplateStatement {
        var values: [(target: TemplateTarget, value: TemplateExpression)] = []
        while true {
            if case .blockEnd = current.kind { break }
            if !values.isEmpty { try expect(.comma) }
            let target = try parseTarget()
            try expect(.assign)
            values.append((target, try parseExpression()))
        }
        let body = try parseScopedBody(until: "endwith")
        position += 1
        return .with(values, body, line)
    }

    private mutating func parseNamedBlock() throws(TemplateError) -> TemplateStatement {
        let name = try expectName()
        _ = skip(name: "scoped")
        _ = skip(name: "required")
        let outer = loopDepth
        loopDepth = 0
        let body = try parseScopedBody(until: "endblock")
        loopDepth = outer
        position += 1
        _ = skip(name: name)
        return .block(body)
    }

    private mutating func parseMacro(_ line: Int) throws(TemplateError) -> TemplateStatement {
        let name = number(of: try expectName())
        return .macro(try parseMacroBody(name: name, end: "endmacro", line: line))
    }

    private mutating func parseCallBlock(_ line: Int) throws(TemplateError) -> TemplateStatement {
        var parameters: [(name: Int, text: String, standard: TemplateExpression?)] = []
        if isAt(.leftParenthesis) { parameters = try parseSignature() }
        let call = try parseExpression()
        guard case .call(let callee, let arguments) = call else { throw unexpected("a call") }
        let macro = try parseMacroBody(
            name: nil, parameters: parameters, end: "endcall", line: line)
        return .callBlock(macro, callee, arguments)
    }

    private mutating func parseMacroBody(
        name: Int?,
        parameters given: [(name: Int, text: String, standard: TemplateExpression?)]? = nil,
        end: String, line: Int
    ) throws(TemplateError) -> TemplateMacro {
        let outer = loopDepth
        loopDepth = 0
        macroUses.append([])
        var parameters = given ?? []
        if given == nil { parameters = try parseSignature() }
        let body = try parseScopedBody(until: end)
        position += 1
        let uses = macroUses.removeLast()
        if let last = macroUses.indices.last { macroUses[last].formUnion(uses) }
        loopDepth = outer
        let caller = parameters.first { $0.name == TemplateTree.caller }
        if uses.contains(.caller), let caller, caller.standard == nil {
            throw unexpected("a default for the parameter 'caller'")
        }
        return TemplateMacro(
            name: name, parameters: parameters, body: body, uses: uses, line: line)
    }

    private mutating func parseSignature()
        throws(TemplateError) -> [(name: Int, text: String, standard: TemplateExpression?)]
    {
        var parameters: [(name: Int, text: String, standard: TemplateExpression?)] = []
        try expect(.leftParenthesis)
        while !isAt(.rightParenthesis) {
            if !parameters.isEmpty { try expect(.comma) }
            let text = try expectName()
            let standard = skip(.assign) ? try parseExpression() : nil
            if standard == nil, parameters.last?.standard != nil {
                throw unexpected("a default, as the parameter before has one")
            }
            let name = number(of: text)
            guard !parameters.contains(where: { $0.name == name }) else {
                throw unexpected("another name than '\(text)', which is taken")
            }
            parameters.append((name, text, standard))
        }
        try expect(.rightParenthesis)
        return parameters
    }

    private mutating func parseTarget(
        allowsMembers: Bool = false
    ) throws(TemplateError) -> TemplateTarget {
        var parts: [TemplateTarget] = []
        var isTuple = false
        while true {
            if isTuple, isAt(.assign) { break }
            parts.append(try parseSingleTarget(allowsMembers: allowsMembers))
            guard skip(.comma) else { break }
            isTuple = true
        }
        return isTuple ? .tuple(parts) : parts[0]
    }

    private mutating func parseSingleTarget(
        allowsMembers: Bool
    ) throws(TemplateError) -> TemplateTarget {
        try enter()
        defer { depth -= 1 }
        if skip(.leftParenthesis) {
            var parts: [TemplateTarget] = []
            var isTuple = false
            while !isAt(.rightParenthesis) {
                parts.append(try parseSingleTarget(allowsMembers: false))
                guard skip(.comma) else { break }
                isTuple = true
            }
            try expect(.rightParenthesis)
            return isTuple || parts.isEmpty ? .tuple(parts) : parts[0]
        }
        let name = try expectName()
        if ["true", "false", "none", "True", "False", "None"].contains(name) {
            position -= 1
            throw unexpected("a name to assign to")
        }
        if allowsMembers, skip(.dot) {
            let member = try expectName()
            return .member(number(of: name), member)
        }
        return .name(number(of: name))
    }
}

// MARK: - Tokens

extension TemplateParser {
    var current: TemplateToken { tokens[position] }

    func isAt(_ symbol: TemplateToken.Symbol) -> Bool {
        if case .symbol(let found) = current.kind { return found == symbol }
        return false
    }

    func isAt(name: String) -> Bool {
        if case .name(let found) = current.kind { return found == name }
        return false
    }

    mutating func skip(_ symbol: TemplateToken.Symbol) -> Bool {
        guard isAt(symbol) else { return false }
        position += 1
        return true
    }

    mutating func skip(name: String) -> Bool {
        guard isAt(name: name) else { return false }
        position += 1
        return true
    }

    mutating func expect(_ symbol: TemplateToken.Symbol) throws(TemplateError) {
        guard skip(symbol) else { throw unexpected("'\(symbol.rawValue)'") }
    }

    mutating func expect(name: String) throws(TemplateError) {
        guard skip(name: name) else { throw unexpected("'\(name)'") }
    }

    mutating func expectName() throws(TemplateError) -> String {
        guard case .name(let name) = current.kind else { throw unexpected("a name") }
        position += 1
        return name
    }

    func unexpected(_ expected: String) -> TemplateError {
        let found =
            switch current.kind {
            case .data: "text"
            case .variableBegin: "'{{'"
            case .variableEnd: "'}}'"
            case .blockBegin: "'{%'"
            case .blockEnd: "'%}'"
            case .name(let name): "'\(name.prefix(80))'"
            case .string: "a string"
            case .integer(let value): "\(value)"
            case .float(let value): "\(value)"
            case .symbol(let symbol): "'\(symbol.rawValue)'"
            case .end: "the end of the template"
            }
        return lexer.error(at: current.offset, found: found, expected: expected)
    }

    /// The number of a name, noting the implicit ones.
    mutating func number(of name: String) -> Int {
        if let number = numbers[name] {
            switch number {
            case TemplateTree.loop: markLoopUse()
            case TemplateTree.caller: markMacroUse(.caller)
            case TemplateTree.varargs: markMacroUse(.varargs)
            case TemplateTree.kwargs: markMacroUse(.kwargs)
            default: break
            }
            return number
        }
        numbers[name] = names.count
        names.append(name)
        return names.count - 1
    }

    mutating func markLoopUse() {
        if let last = loopUses.indices.last { loopUses[last] = true }
    }

    private mutating func markMacroUse(_ use: TemplateMacro.Implicit) {
        if let last = macroUses.indices.last { macroUses[last].insert(use) }
    }

    /// Counts a level of nesting; the caller decrements `depth` when it leaves.
    mutating func enter() throws(TemplateError) {
        depth += 1
        guard depth <= TemplateLimits.sourceDepth,
            abs(stackAddress() - stackBase) < TemplateLimits.stackBytes
        else {
            let fault = JinjaFault.limit(.depth, TemplateLimits.sourceDepth)
            throw fault.at(template: lexer.template, line: current.line)
        }
    }
}
