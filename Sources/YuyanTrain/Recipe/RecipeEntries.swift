import YuyanFormats

/// A recipe's value that is a list of names, and of mappings where a name is not enough.
protocol RecipeEntries: RecipeValue {
    /// Each entry as it was written.
    var nodes: [YAMLNode] { get }

    init(_ nodes: [YAMLNode])
}

extension RecipeEntries {
    /// A list, or its only entry.
    init?(_ node: YAMLNode) {
        switch node {
        case _ where node.isNull: self.init([] as [YAMLNode])
        case .sequence(let items, _): self.init(items)
        case .mapping: self.init([node])
        case .scalar:
            guard let names = [String](node) else { return nil }
            self.init(names.map { .scalar($0, isQuoted: false, line: node.line) })
        }
    }

    var node: YAMLNode { .sequence(nodes, line: 0) }
}
