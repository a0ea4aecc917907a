/// The arguments of a call after evaluation.
struct JinjaArguments {
    var positional: [JinjaValue] = []
    var keyword: [(name: String, value: JinjaValue)] = []

    /// Distributes the arguments over parameters, in order and by name.
    ///
    /// - Throws: `.wrong` for too many, unknown, repeated or missing ones.
    func bound(
        to names: [String], required: Int = 0, function: String
    ) throws(JinjaFault) -> [JinjaValue?] {
        guard positional.count <= names.count else {
            throw .wrong(
                "\(function)() takes at most \(names.count) arguments, found \(positional.count)")
        }
        var values: [JinjaValue?] = positional
        values += Array(repeating: nil, count: names.count - positional.count)
        for (name, value) in keyword {
            guard let place = names.firstIndex(of: name), place >= positional.count else {
                throw .wrong("\(function)() takes no argument '\(name)' here; it takes \(names)")
            }
            values[place] = value
        }
        for place in 0..<required where values[place] == nil {
            throw .wrong("\(function)() needs the argument '\(names[place])'")
        }
        return values
    }
}

extension JinjaInterpreter {
    func evaluate(
        _ arguments: TemplateArguments, in scope: JinjaScope
    ) throws(JinjaFault) -> JinjaArguments {
        var result = JinjaArguments()
        result.positional = try evaluate(arguments.positional, in: scope)
        for (name, value) in arguments.keyword {
            result.keyword.append((name, try evaluate(value, in: scope)))
        }
        if let unpacked = arguments.unpacked {
            result.positional += try items(of: try evaluate(unpacked, in: scope))
        }
        if let unpacked = arguments.unpackedKeywords {
            guard case .dict(let dict) = try evaluate(unpacked, in: scope) else {
                throw .wrong("'**' needs a dict")
            }
            for (key, value) in dict.entries {
                guard let name = key.text else { throw .wrong("'**' needs names as keys") }
                guard !result.keyword.contains(where: { $0.name == name }) else {
                    throw .wrong("the argument '\(name)' is given twice")
                }
                result.keyword.append((name, value))
            }
        }
        return result
    }

    /// Calls what an expression names; a method is not made into a value first.
    func call(
        _ callee: TemplateExpression, _ written: TemplateArguments, caller: JinjaValue?,
        in scope: JinjaScope
    ) throws(JinjaFault) -> JinjaValue {
        let line = self.line
        let receiver: JinjaValue
        if case .attribute(let base, let name) = callee {
            receiver = try evaluate(base, in: scope)
            if hasMethod(receiver, name) {
                var arguments = try evaluate(written, in: scope)
                if let caller { arguments.keyword.append(("caller", caller)) }
                return try callMethod(name, of: receiver, arguments)
            }
        }
        let function = try evaluate(callee, in: scope)
        var arguments = try evaluate(written, in: scope)
        if let caller { arguments.keyword.append(("caller", caller)) }
        self.line = line
        return try call(function, arguments)
    }

    func call(
        _ function: JinjaValue, _ arguments: JinjaArguments
    ) throws(JinjaFault) -> JinjaValue {
        switch function {
        case .macro(let macro): return .string(try invoke(macro, arguments))
        case .function(let function): return try call(function, arguments)
        case .method(let method):
            return try callMethod(method.name, of: method.receiver, arguments)
        case .loop(let loop):
            let bound = try arguments.bound(to: ["iterable"], required: 1, function: "loop")
            guard loop.definition.isRecursive else {
                throw .wrong("the loop is called, so it needs 'recursive' in its tag")
            }
            let text = try recurse(
                loop.definition, over: bound[0] ?? .none, depth: loop.depth + 1, in: loop.scope)
            return .string(text)
        case .joiner(let joiner):
            defer { joiner.isUsed = true }
            return joiner.isUsed ? joiner.list.items[0] : .string("")
        case .undefined(let name): throw .undefined(name)
        default: throw .wrong("a value of type \(function.typeName) cannot be called")
        }
    }

    // MARK: Macros

    private func invoke(
        _ macro: JinjaMacro, _ arguments: JinjaArguments
    ) throws(JinjaFault) -> String {
        let definition = macro.definition
        let name = definition.name.map { tree.names[$0] } ?? "caller"
        guard macroDepth < limits.macroDepth else { throw .limit(.depth, limits.macroDepth) }
        macroDepth += 1
        defer { macroDepth -= 1 }
        let line = self.line
        let scope = JinjaScope(parent: macro.scope)
        var keywords = arguments.keyword
        var given: [JinjaValue?] = []
        for (place, parameter) in definition.parameters.enumerated() {
            if place < arguments.positional.count {
                given.append(arguments.positional[place])
            } else if let index = keywords.firstIndex(where: { $0.name == parameter.text }) {
                given.append(keywords.remove(at: index).value)
            } else {
                given.append(nil)
            }
        }
        if definition.uses.contains(.caller),
            !definition.parameters.contains(where: { $0.name == TemplateTree.caller })
        {
            let index = keywords.firstIndex { $0.name == "caller" }
            let caller = index.map { keywords.remove(at: $0).value }
            scope.set(TemplateTree.caller, to: caller ?? .undefined("caller"))
        }
        if definition.uses.contains(.kwargs) {
            let entries = keywords.map { (key: JinjaValue.string($0.name), value: $0.value) }
            scope.set(TemplateTree.kwargs, to: .dict(try JinjaDict(entries: entries)))
        } else if let extra = keywords.first {
            throw .wrong("macro '\(name)' takes no keyword argument '\(extra.name)'")
        }
        let surplus = arguments.positional.dropFirst(definition.parameters.count)
        if definition.uses.contains(.varargs) {
            scope.set(TemplateTree.varargs, to: .tuple(try JinjaList(Array(surplus))))
        } else if !surplus.isEmpty {
            throw .wrong("macro '\(name)' takes at most \(definition.parameters.count) arguments")
        }
        for (parameter, value) in zip(definition.parameters, given) {
            if let value {
                scope.set(parameter.name, to: value)
            } else if let standard = parameter.standard {
                scope.set(parameter.name, to: try evaluate(standard, in: scope))
            } else {
                scope.set(parameter.name, to: .undefined(parameter.text))
            }
        }
        let (text, _) = try capture(definition.body, in: scope)
        self.line = line
        return text
    }

    // MARK: Functions

    private func call(
        _ function: JinjaFunction, _ arguments: JinjaArguments
    ) throws(JinjaFault) -> JinjaValue {
        switch function {
        case .range: return .range(try makeRange(arguments))
        case .dict: return .dict(try makeDict(arguments))
        case .namespace:
            let namespace = JinjaNamespace()
            for (key, value) in try makeDict(arguments).entries {
                guard let name = key.text else { throw .wrong("namespace() needs names as keys") }
                try namespace.set(name, to: value)
            }
            namespaces.append(namespace)
            return .namespace(namespace)
        case .cycler:
            guard !arguments.positional.isEmpty, arguments.keyword.isEmpty else {
                throw .wrong("cycler() needs at least one value")
            }
            return .cycler(JinjaCycler(try JinjaList(arguments.positional)))
        case .joiner:
            let bound = try arguments.bound(to: ["sep"], function: "joiner")
            return .joiner(try JinjaJoiner(separator: bound[0] ?? .string(", ")))
        case .raiseException:
            let bound = try arguments.bound(
                to: ["message"], required: 1, function: "raise_exception")
            throw .raised(try string(bound[0] ?? .none))
        case .currentTime:
            let bound = try arguments.bound(to: ["format"], required: 1, function: "strftime_now")
            guard let format = bound[0]?.text else { throw .wrong("strftime_now() needs a string") }
            return .string((date ?? .now()).formatted(format))
        }
    }

    private func makeRange(_ arguments: JinjaArguments) throws(JinjaFault) -> JinjaRange {
        guard arguments.keyword.isEmpty else { throw .wrong("range() takes no keyword arguments") }
        var bounds: [Int] = []
        for argument in arguments.positional {
            guard let bound = argument.index else {
                throw .wrong("range() needs integers, found \(argument.typeName)")
            }
            bounds.append(bound)
        }
        guard (1...3).contains(bounds.count) else {
            throw .wrong("range() takes 1 to 3 arguments, found \(bounds.count)")
        }
        let start = bounds.count == 1 ? 0 : bounds[0]
        let stop = bounds.count == 1 ? bounds[0] : bounds[1]
        let step = bounds.count == 3 ? bounds[2] : 1
        guard step != 0 else { throw .wrong("range() needs a step other than 0") }
        guard step > 0 ? start < stop : start > stop else {
            return JinjaRange(start: start, step: step, count: 0)
        }
        let (distance, overflows) = stop.subtractingReportingOverflow(start)
        guard !overflows, distance != .min else {
            throw .limit(.items, TemplateLimits.range)
        }
        let count = (distance.magnitude - 1) / step.magnitude + 1
        guard count <= TemplateLimits.range else { throw .limit(.items, TemplateLimits.range) }
        return JinjaRange(start: start, step: step, count: Int(count))
    }

    private func makeDict(_ arguments: JinjaArguments) throws(JinjaFault) -> JinjaDict {
        var entries: [(key: JinjaValue, value: JinjaValue)] = []
        guard arguments.positional.count <= 1 else { throw .wrong("dict() takes one value") }
        if let source = arguments.positional.first {
            if case .dict(let dict) = source {
                entries = dict.entries
            } else {
                for pair in try items(of: source) {
                    let parts = try items(of: pair)
                    guard parts.count == 2 else { throw .wrong("dict() needs pairs") }
                    entries.append((parts[0], parts[1]))
                }
            }
        }
        entries += arguments.keyword.map { (key: .string($0.name), value: $0.value) }
        return try JinjaDict(entries: entries)
    }
}
