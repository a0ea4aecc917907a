/// Runs a template once: statements here, expressions and calls in extensions.
final class JinjaInterpreter {
    enum Flow { case normal, leaveLoop, nextTurn }

    let tree: TemplateTree
    let limits: TemplateLimits
    let date: TemplateDate?
    private(set) var output = ""
    /// UTF-8 offsets of the generation blocks in `output`.
    private(set) var generated: [Range<Int>] = []
    /// The first generation block whose place is unknown.
    private(set) var untraceableLine: Int?
    /// The line being run, for messages.
    var line = 1
    var macroDepth = 0
    private var captureDepth = 0
    private var stepsLeft: Int
    private let stackBase = stackAddress()
    let globals: JinjaScope
    let root: JinjaScope
    /// What can form chains or cycles of references; emptied at the end, one by one.
    var namespaces: [JinjaNamespace] = []
    var keptScopes: [JinjaScope] = []
    var loops: [JinjaLoop] = []

    init(
        tree: TemplateTree, variables: [(name: String, value: TemplateValue)],
        limits: TemplateLimits, date: TemplateDate?
    ) throws(JinjaFault) {
        self.tree = tree
        self.limits = limits
        self.date = date
        stepsLeft = limits.steps
        globals = JinjaScope(parent: nil)
        root = JinjaScope(parent: globals)
        for (number, name) in tree.names.enumerated() {
            if let variable = variables.first(where: { sameText($0.name, name) }) {
                globals.set(number, to: try JinjaValue(variable.value))
            } else if let function = JinjaFunction(rawValue: name) {
                globals.set(number, to: .function(function))
            }
        }
    }

    func run() throws(JinjaFault) {
        defer { release() }
        _ = try execute(tree.body, in: root)
    }

    private func release() {
        for namespace in namespaces { namespace.removeAll() }
        for scope in keptScopes { scope.removeAll() }
        for loop in loops { loop.forget() }
        root.removeAll()
        globals.removeAll()
    }

    // MARK: Limits

    func step() throws(JinjaFault) {
        stepsLeft -= 1
        guard stepsLeft >= 0 else { throw .limit(.steps, limits.steps) }
        guard abs(stackAddress() - stackBase) < TemplateLimits.stackBytes else {
            throw .limit(.depth, TemplateLimits.sourceDepth)
        }
    }

    /// Pays for a text that is about to be made or walked.
    func charge(bytes: Int) throws(JinjaFault) {
        guard bytes <= limits.bytes else { throw .limit(.bytes, limits.bytes) }
        stepsLeft -= bytes >> 3
    }

    /// Pays for a sequence that is about to be made or walked.
    func charge(items: Int) throws(JinjaFault) {
        guard items <= limits.items else { throw .limit(.items, limits.items) }
        stepsLeft -= items
    }

    /// Pays for a walk through a text.
    func charge(walking text: String) { stepsLeft -= text.utf8.count >> 5 }

    /// Pays for a walk through everything in a value.
    func charge(walking value: JinjaValue) {
        if let text = value.text {
            stepsLeft -= text.utf8.count >> 5
        } else {
            stepsLeft -= value.extent?.weight ?? 0
        }
    }

    // MARK: Statements

    func execute(
        _ body: [TemplateStatement], in scope: JinjaScope
    ) throws(JinjaFault) -> Flow {
        for statement in body {
            try step()
            let flow: Flow
            switch statement {
            case .text(let text):
                try write(text)
                continue
            case .output(let expression, let line):
                self.line = line
                let value = try evaluate(expression, in: scope)
                try write(try string(value))
                continue
            case .branch(let branches, let otherwise, let line):
                self.line = line
                flow = try execute(try choose(branches, otherwise, in: scope), in: scope)
            case .loop(let loop):
                flow = try run(loop, in: scope)
            case .set(let target, let expression, let line):
                self.line = line
                try assign(try evaluate(expression, in: scope), to: target, in: scope)
                continue
            case .leaveLoop: return .leaveLoop
            case .nextTurn: return .nextTurn
            default: flow = try executeRare(statement, in: scope)
            }
            if flow != .normal { return flow }
        }
        return .normal
    }

    private func choose(
        _ branches: [(test: TemplateExpression, body: [TemplateStatement])],
        _ otherwise: [TemplateStatement], in scope: JinjaScope
    ) throws(JinjaFault) -> [TemplateStatement] {
        for branch in branches where try evaluate(branch.test, in: scope).isTrue {
            return branch.body
        }
        return otherwise
    }

    private func executeRare(
        _ statement: TemplateStatement, in scope: JinjaScope
    ) throws(JinjaFault) -> Flow {
        switch statement {
        case .capture(let target, let filters, let body, let line):
            self.line = line
            let (text, flow) = try capture(body, in: JinjaScope(parent: scope))
            guard flow == .normal else { return flow }
            try assign(try filtered(.string(text), filters, in: scope), to: target, in: scope)
        case .macro(let definition):
            if let name = definition.name {
                scope.set(name, to: .macro(makeMacro(definition, in: scope)))
            }
        case .callBlock(let definition, let callee, let arguments):
            line = definition.line
            let caller = JinjaValue.macro(makeMacro(definition, in: scope))
            let result = try call(callee, arguments, caller: caller, in: scope)
            try write(try string(result))
        case .filterBlock(let filters, let body):
            let (text, flow) = try capture(body, in: JinjaScope(parent: scope))
            guard flow == .normal else { return flow }
            try write(try string(try filtered(.string(text), filters, in: scope)))
        case .with(let values, let body, let line):
            self.line = line
            let inner = JinjaScope(parent: scope)
            for (target, value) in values {
                try assign(try evaluate(value, in: scope), to: target, in: inner)
            }
            return try execute(body, in: inner)
        case .scope(let body):
            return try execute(body, in: JinjaScope(parent: scope))
        case .block(let body):
            _ = try execute(body, in: JinjaScope(parent: root))
        case .generation(let body, let line):
            try generate(body, line: line, in: scope)
        default: break
        }
        return .normal
    }

    private func generate(
        _ body: [TemplateStatement], line: Int, in scope: JinjaScope
    ) throws(JinjaFault) {
        if captureDepth > 0, untraceableLine == nil { untraceableLine = line }
        let start = output.utf8.count
        captureDepth += 1
        defer { captureDepth -= 1 }
        _ = try execute(body, in: JinjaScope(parent: scope))
        if captureDepth == 1 { generated.append(start..<output.utf8.count) }
    }

    private func filtered(
        _ value: JinjaValue, _ filters: [TemplateFilter], in scope: JinjaScope
    ) throws(JinjaFault) -> JinjaValue {
        var value = value
        for filter in filters { value = try apply(filter, to: value, in: scope) }
        return value
    }

    // MARK: Output

    func write(_ text: String) throws(JinjaFault) {
        guard output.utf8.count + text.utf8.count <= limits.bytes else {
            throw .limit(.bytes, limits.bytes)
        }
        stepsLeft -= text.utf8.count >> 5
        output += text
    }

    /// Runs statements and returns what they write.
    func capture(
        _ body: [TemplateStatement], in scope: JinjaScope
    ) throws(JinjaFault) -> (String, Flow) {
        let outer = output
        output = ""
        captureDepth += 1
        defer {
            captureDepth -= 1
            output = outer
        }
        let flow = try execute(body, in: scope)
        return (output, flow)
    }

    // MARK: Names

    private func makeMacro(_ definition: TemplateMacro, in scope: JinjaScope) -> JinjaMacro {
        keep(scope)
        return JinjaMacro(definition, in: scope)
    }

    /// Notes that a value refers to a scope, which might so become part of a chain or cycle.
    private func keep(_ scope: JinjaScope) {
        var kept: JinjaScope? = scope
        while let here = kept, here !== root, !here.isKept {
            here.isKept = true
            keptScopes.append(here)
            kept = here.parent
        }
    }

    func assign(
        _ value: JinjaValue, to target: TemplateTarget, in scope: JinjaScope
    ) throws(JinjaFault) {
        switch target {
        case .name(let number): scope.set(number, to: value)
        case .member(let number, let name):
            guard case .namespace(let namespace)? = scope.value(number) else {
                throw .wrong(
                    "'\(tree.names[number])' is no namespace, so '\(name)' cannot be set on it")
            }
            try namespace.set(name, to: value)
        case .tuple(let targets):
            let items = try items(of: value)
            guard items.count == targets.count else {
                throw .wrong("expected \(targets.count) values to unpack, found \(items.count)")
            }
            for (target, item) in zip(targets, items) { try assign(item, to: target, in: scope) }
        }
    }

    // MARK: Loops

    private func run(_ loop: TemplateLoop, in scope: JinjaScope) throws(JinjaFault) -> Flow {
        line = loop.line
        let sequence = try evaluate(loop.sequence, in: scope)
        guard loop.isRecursive else { return try run(loop, over: sequence, depth: 0, in: scope) }
        try write(try recurse(loop, over: sequence, depth: 0, in: scope))
        return .normal
    }

    /// One level of a recursive loop, as text.
    func recurse(
        _ loop: TemplateLoop, over sequence: JinjaValue, depth: Int, in scope: JinjaScope
    ) throws(JinjaFault) -> String {
        guard depth < limits.macroDepth else { throw .limit(.depth, limits.macroDepth) }
        let outer = output
        output = ""
        captureDepth += 1
        defer {
            captureDepth -= 1
            output = outer
        }
        _ = try run(loop, over: sequence, depth: depth, in: scope)
        return output
    }

    private func run(
        _ loop: TemplateLoop, over sequence: JinjaValue, depth: Int, in scope: JinjaScope
    ) throws(JinjaFault) -> Flow {
        var items = try items(of: sequence)
        if let condition = loop.condition {
            var kept: [JinjaValue] = []
            for item in items {
                let inner = JinjaScope(parent: scope)
                try assign(item, to: loop.target, in: inner)
                if try evaluate(condition, in: inner).isTrue { kept.append(item) }
            }
            items = kept
        }
        var context: JinjaLoop?
        if loop.needsContext {
            // Only a recursive loop needs its surroundings again.
            if loop.isRecursive { keep(scope) }
            context = try JinjaLoop(
                items, depth: depth, definition: loop, scope: loop.isRecursive ? scope : root)
        }
        // A turn starts with no names of its own, unless a macro still sees those of the last one.
        var inner = JinjaScope(parent: scope)
        var ranToEnd = false
        for (position, item) in items.enumerated() {
            try step()
            if isKnownUniquelyReferenced(&inner) {
                inner.removeAll()
            } else {
                inner = JinjaScope(parent: scope)
            }
            if let context {
                context.position = position
                inner.set(TemplateTree.loop, to: .loop(context))
            }
            try assign(item, to: loop.target, in: inner)
            let flow = try execute(loop.body, in: inner)
            if flow == .leaveLoop { break }
            // As in the reference, `else` runs unless some turn reached its end.
            if flow == .normal { ranToEnd = true }
        }
        if !ranToEnd, !loop.otherwise.isEmpty {
            return try execute(loop.otherwise, in: JinjaScope(parent: scope))
        }
        return .normal
    }
}
